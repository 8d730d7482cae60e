/** What goes wrong, on stderr: a line for people, or one JSON object where users are served. */

/** The header in which the proxy names each request. */
export const REQUEST_ID = "x-request-id";

const FORM = /^[A-Za-z0-9._-]{1,128}$/;

/** Return the id of a request; null where nobody named it. */
export function requestId(headers: Headers): string | null {
  const said = headers.get(REQUEST_ID);
  return said !== null && FORM.test(said) ? said : null;
}

/** Say what went wrong while a request was answered. */
export function complain(message: string, headers: Headers): void {
  const id = requestId(headers);
  if (!asJson()) {
    console.error(message);
    return;
  }
  const time = new Date().toISOString();
  const line = { time, level: "error", logger: "frontend", message };
  console.error(JSON.stringify(id === null ? line : { ...line, request_id: id }));
}

function asJson(): boolean {
  const { ENVIRONMENT = "", LOG_FORMAT = "" } = process.env;
  return LOG_FORMAT === "json" || (!LOG_FORMAT && ["production", "staging"].includes(ENVIRONMENT));
}
