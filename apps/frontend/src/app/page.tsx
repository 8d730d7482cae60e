import { headers } from "next/headers";

import { Habits } from "./habits";
import { listHabits } from "@/lib/backend.ts";

export default async function Page() {
  // For each request, as its headers are asked for: at build time there is no API.
  const asked = new Headers(await headers());
  return (
    <>
      <header>
        <h1>Habits</h1>
        <p>What you do every day, and for how long you have kept it up.</p>
      </header>
      <Habits initial={await listHabits(asked)} />
    </>
  );
}
