/** What a habit is, and the rules that both the page and the server hold to. */

export const NAME_LENGTH = 100;

export interface Habit {
  readonly id: number;
  readonly name: string;
  /** In days; it lasts until a whole day was missed. */
  readonly streak: number;
  readonly longest: number;
  readonly done_today: boolean;
}

/** Return the habits in an answer of the API's; throws TypeError for anything else. */
export function parseHabits(answer: unknown): Habit[] {
  if (!Array.isArray(answer)) throw new TypeError("the API's answer is not a list");
  return answer.map((entry: unknown) => {
    if (!isHabit(entry)) throw new TypeError("the API's answer holds something else than habits");
    const { id, name, streak, longest, done_today } = entry;
    return { id, name, streak, longest, done_today };
  });
}

function isHabit(entry: unknown): entry is Habit {
  if (typeof entry !== "object" || entry === null) return false;
  const { id, name, streak, longest, done_today } = entry as Record<string, unknown>;
  return (
    [id, streak, longest].every(Number.isInteger) &&
    typeof name === "string" &&
    typeof done_today === "boolean"
  );
}

/** Return what is wrong with a new habit's name, for the person who typed it; null if nothing. */
export function nameProblem(name: string, taken: readonly Habit[] = []): string | null {
  const wanted = name.trim();
  if (!wanted) return "Give the habit a name.";
  // The API counts characters, not UTF-16 units.
  const length = [...wanted].length;
  if (length > NAME_LENGTH) return `At most ${NAME_LENGTH} characters, please: these are ${length}.`;
  if (/[\u0000-\u001f]/.test(wanted)) return "A name is one line, without tabs.";
  if (taken.some((habit) => habit.name === wanted)) return `“${wanted}” is on the list already.`;
  return null;
}

/** Return the reason in an error of the API's: its detail is a string or a list of findings. */
export function reason(answer: unknown): string {
  const detail =
    typeof answer === "object" && answer !== null && "detail" in answer ? answer.detail : null;
  if (typeof detail === "string" && detail) return detail;
  if (Array.isArray(detail)) {
    const found = detail.map((finding) => (finding as { msg?: unknown } | null)?.msg);
    const told = found.filter((text): text is string => typeof text === "string");
    if (told.length) return told.join("; ");
  }
  return "The request was refused.";
}

/** Return a number of days in words. */
export function days(count: number): string {
  return `${count} ${count === 1 ? "day" : "days"}`;
}
