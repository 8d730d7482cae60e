"use client";

import { useRef, useState, type SubmitEvent } from "react";

import { days, nameProblem, parseHabits, reason, type Habit } from "@/lib/habits.ts";

const AWAY = "The server doesn't answer. Nothing was changed; try again in a moment.";

/** The list and all that can be done with it; requests go through this site's own /api. */
export function Habits({ initial }: { initial: Habit[] }) {
  const [habits, setHabits] = useState(initial);
  const [busy, setBusy] = useState<number | "new" | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [news, setNews] = useState("");
  const field = useRef<HTMLInputElement>(null);

  /** Ask the API for a change, then for the list; return the reason where it refuses. */
  async function change(what: number | "new", path: string, init: RequestInit) {
    setBusy(what);
    setFailure(null);
    setProblem(null);
    try {
      const answer = await fetch(path, init);
      if (answer.status >= 500) throw new Error(`status ${answer.status}`);
      const refused = answer.ok ? null : reason(await answer.json());
      // After a refusal, too: somebody else may have been here meanwhile.
      const list = await fetch("/api/habits");
      if (!list.ok) throw new Error(`status ${list.status}`);
      setHabits(parseHabits(await list.json()));
      return refused;
    } catch {
      setFailure(AWAY);
      return undefined;
    } finally {
      setBusy(null);
    }
  }

  async function add(event: SubmitEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const name = String(new FormData(form).get("name") ?? "").trim();
    const found = nameProblem(name, habits);
    const refused =
      found ??
      (await change("new", "/api/habits", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ name }),
      }));
    if (refused === null) {
      form.reset();
      setNews(`Added ${name}.`);
    } else if (refused) {
      setProblem(refused);
    }
    field.current?.focus();
  }

  async function checkIn(habit: Habit) {
    const path = `/api/habits/${habit.id}/checkins`;
    const refused = await change(habit.id, path, { method: "POST" });
    if (refused === null) setNews(`Checked in: ${habit.name}.`);
    else if (refused) setFailure(refused);
  }

  async function remove(habit: Habit) {
    if (!confirm(`Delete “${habit.name}” with all its check-ins?`)) return;
    const refused = await change(habit.id, `/api/habits/${habit.id}`, { method: "DELETE" });
    if (refused === null) setNews(`Deleted ${habit.name}.`);
    else if (refused) setFailure(refused);
    field.current?.focus();
  }

  return (
    <>
      <form className="add" onSubmit={add} noValidate>
        <label htmlFor="name">New habit</label>
        <input
          id="name"
          name="name"
          ref={field}
          autoComplete="off"
          placeholder="Read ten pages"
          aria-invalid={problem !== null}
          aria-describedby={problem ? "problem" : undefined}
          onChange={() => setProblem(null)}
        />
        <button disabled={busy === "new"}>{busy === "new" ? "Adding…" : "Add"}</button>
        {problem && (
          <p id="problem" className="problem" role="alert">
            {problem}
          </p>
        )}
      </form>
      {failure && (
        <p className="failure" role="alert">
          {failure}
        </p>
      )}
      <p className="unseen" role="status">
        {news}
      </p>
      {habits.length === 0 ? (
        <section className="empty">
          <h2>No habits yet</h2>
          <p>Add the first one above: something small that you can do every day.</p>
        </section>
      ) : (
        <ul aria-label="Habits">
          {habits.map((habit) => (
            <li key={habit.id} aria-busy={busy === habit.id}>
              <span className="name">{habit.name}</span>
              <span className="streak" title={`Longest: ${days(habit.longest)}`}>
                {days(habit.streak)}
              </span>
              <button
                className={habit.done_today ? "done" : ""}
                disabled={habit.done_today || busy === habit.id}
                onClick={() => checkIn(habit)}
                aria-label={`${habit.done_today ? "Done today" : "Check in"}: ${habit.name}`}
              >
                {habit.done_today ? "✓ Done today" : "Check in"}
              </button>
              <button
                className="quiet"
                disabled={busy === habit.id}
                onClick={() => remove(habit)}
                aria-label={`Delete ${habit.name}`}
              >
                Delete
              </button>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
