/** The API as this server reaches it: within the stack's own network, at API_URL. */

import { parseHabits, type Habit } from "./habits.ts";
import { complain, REQUEST_ID, requestId } from "./log.ts";

/** Milliseconds until an API that says nothing counts as away. */
const PATIENCE = 10_000;

/** What of a browser's request the API gets, and what of its answer the browser gets. */
const ASKED = ["accept", "content-type", "last-event-id", REQUEST_ID];
const ANSWERED = ["content-type", "retry-after", "allow", "x-instance"];

/** The API can't be reached, or answers that it can't serve. */
export class Away extends Error {
  override readonly name = "Away";
}

/** Return the address of a path at the API, which never leaves the API's host. */
export function address(path: string, base: string | undefined = process.env.API_URL): URL {
  const root = new URL(base || "http://api:8000");
  root.pathname = `${root.pathname.replace(/\/+$/, "")}/${path.replace(/^\/+/, "")}`;
  return root;
}

/** Return all habits, by name, for a browser's request with these headers; throws Away. */
export async function listHabits(asked: Headers): Promise<Habit[]> {
  const id = requestId(asked);
  let answer: Response;
  try {
    answer = await fetch(address("habits"), {
      cache: "no-store",
      headers: id === null ? {} : { [REQUEST_ID]: id },
      signal: AbortSignal.timeout(PATIENCE),
    });
    if (answer.ok) return parseHabits(await answer.json());
  } catch (error) {
    throw new Away("the API doesn't answer", { cause: error });
  }
  throw new Away(`the API answers with status ${answer.status}`);
}

/** Pass a browser's request on to a path of the API's; 502 where that isn't reached. */
export async function pass(request: Request, path: string): Promise<Response> {
  const target = address(path);
  target.search = new URL(request.url).search;
  const headers = chosen(request.headers, ASKED);
  // Two small hops: a body is read whole, so that a lost connection is never half a request.
  const empty = request.method === "GET" || request.method === "HEAD";
  const body = empty ? null : await request.arrayBuffer();
  try {
    const answer = await fetch(target, {
      method: request.method,
      headers,
      body: body?.byteLength ? body : null,
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.any([request.signal, AbortSignal.timeout(PATIENCE)]),
    });
    const told = chosen(answer.headers, ANSWERED);
    const location = answer.headers.get("location");
    if (location !== null) told.set("location", outside(location, target));
    return new Response(answer.body, { status: answer.status, headers: told });
  } catch (error) {
    complain(`the API at ${target.origin} doesn't answer: ${causeOf(error)}`, request.headers);
    return Response.json(
      { detail: "The API doesn't answer." },
      { status: 502, headers: { "Retry-After": "1" } },
    );
  }
}

/** Return where the API sends a browser, as the browser reaches it: below /api. */
function outside(location: string, from: URL): string {
  const meant = new URL(location, from);
  const root = address("");
  if (meant.origin !== root.origin || !meant.pathname.startsWith(root.pathname)) return location;
  return `/api/${meant.pathname.slice(root.pathname.length)}${meant.search}${meant.hash}`;
}

function chosen(headers: Headers, names: readonly string[]): Headers {
  const found = new Headers({ "cache-control": "no-store" });
  for (const name of names) {
    const value = headers.get(name);
    if (value !== null) found.set(name, value);
  }
  return found;
}

function causeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message || cause.name : String(cause);
}
