import { connection } from "next/server";

import { Habits } from "./habits";
import { listHabits } from "@/lib/backend.ts";

export default async function Page() {
  // Made for each request: at build time there is no API.
  await connection();
  return (
    <>
      <header>
        <h1>Habits</h1>
        <p>What you do every day, and for how long you have kept it up.</p>
      </header>
      <Habits initial={await listHabits()} />
    </>
  );
}
