import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import { address, Away, listHabits, pass } from "../src/lib/backend.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Run `work` with API_URL pointing to a server of the test's own. */
async function withApi(answer: Answer, work: () => Promise<void>): Promise<void> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  process.env.API_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await work();
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json", "x-instance": "one" });
  response.end(JSON.stringify(body));
}

test("a path never leads to another host than the API's", () => {
  for (const path of ["habits", "/habits", "//evil.example/habits"]) {
    assert.equal(address(path, "http://api:8000").host, "api:8000");
  }
  assert.equal(address("habits", "http://proxy/base/").href, "http://proxy/base/habits");
  assert.equal(address("a?b#c", "http://api:8000").href, "http://api:8000/a%3Fb%23c");
});

test("the list is read from the API, and an API that fails is away", async () => {
  const habit = { id: 1, name: "Walk", streak: 0, longest: 0, done_today: true };
  await withApi((_, response) => json(response, 200, [habit]), async () => {
    assert.deepEqual(await listHabits(new Headers()), [habit]);
  });
  await withApi((_, response) => json(response, 503, { detail: "the database is away" }), () =>
    assert.rejects(listHabits(new Headers()), (error) => error instanceof Away && /503/.test(error.message)),
  );
  await withApi((request) => request.socket.destroy(), () => assert.rejects(listHabits(new Headers()), Away));
  await withApi((_, response) => json(response, 200, { oops: 1 }), () =>
    assert.rejects(listHabits(new Headers()), Away),
  );
});

test("a request is passed on whole, but for what is the browser's own", async () => {
  const seen: Record<string, unknown> = {};
  const api: Answer = (request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
      Object.assign(seen, { method: request.method, url: request.url, body, ...request.headers });
      json(response, 201, { id: 7 });
    });
  };
  await withApi(api, async () => {
    const request = new Request("http://localhost:3000/api/habits?x=1&y=a%20b", {
      method: "POST",
      headers: {
        "content-type": "application/json",
        cookie: "secret=1",
        "x-forwarded-for": "::1",
        "x-request-id": "one.of-ours_1",
      },
      body: '{"name":"Walk"}',
    });
    const answer = await pass(request, "habits");
    assert.equal(answer.status, 201);
    assert.deepEqual(await answer.json(), { id: 7 });
    assert.equal(answer.headers.get("x-instance"), "one");
  });
  assert.equal(seen.method, "POST");
  assert.equal(seen.url, "/habits?x=1&y=a%20b");
  assert.equal(seen.body, '{"name":"Walk"}');
  assert.equal(seen["content-type"], "application/json");
  assert.equal(seen["x-request-id"], "one.of-ours_1");
  assert.equal(seen.cookie, undefined);
  assert.equal(seen["x-forwarded-for"], undefined);
});

test("an answer without a body and a refusal come back as they are", async () => {
  await withApi((_, response) => response.writeHead(204).end(), async () => {
    const gone = await pass(new Request("http://x/api/habits/1", { method: "DELETE" }), "habits/1");
    assert.equal(gone.status, 204);
    assert.equal(await gone.text(), "");
  });
  await withApi((_, response) => json(response, 409, { detail: "taken" }), async () => {
    const refused = await pass(new Request("http://x/api/habits"), "habits");
    assert.equal(refused.status, 409);
    assert.deepEqual(await refused.json(), { detail: "taken" });
  });
});

test("an API that isn't there is a 502 that says so and can be asked again", async (context) => {
  const log = context.mock.method(console, "error", () => {});
  await withApi(() => {}, async () => {});
  const answer = await pass(new Request("http://x/api/habits"), "habits");
  assert.equal(answer.status, 502);
  assert.equal(answer.headers.get("retry-after"), "1");
  assert.deepEqual(await answer.json(), { detail: "The API doesn't answer." });
  assert.match(String(log.mock.calls[0]?.arguments), /ECONNREFUSED/);
});

test("a redirect of the API's names no address that only this server reaches", async () => {
  const moved = async (location: string) => {
    let told: string | null = null;
    await withApi((_, response) => response.writeHead(307, { location }).end(), async () => {
      const answer = await pass(new Request("http://x/api/habits/"), "habits/");
      told = answer.headers.get("location");
    });
    return told;
  };
  await withApi((request, response) =>
    response.writeHead(307, { location: `http://${request.headers.host}/habits?x=1` }).end(),
    async () => {
      const answer = await pass(new Request("http://x/api/habits/?x=1"), "habits/");
      assert.equal(answer.headers.get("location"), "/api/habits?x=1");
    },
  );
  assert.equal(await moved("/habits"), "/api/habits");
  assert.equal(await moved("https://elsewhere.example/x"), "https://elsewhere.example/x");
});

test("where users are served, what goes wrong is one JSON object with the request's id", async (context) => {
  const log = context.mock.method(console, "error", () => {});
  await withApi(() => {}, async () => {});
  process.env.ENVIRONMENT = "production";
  try {
    await pass(new Request("http://x/api/habits", { headers: { "x-request-id": "r-1" } }), "habits");
  } finally {
    delete process.env.ENVIRONMENT;
  }
  const line = JSON.parse(String(log.mock.calls[0]?.arguments[0]));
  assert.equal(line.level, "error");
  assert.equal(line.request_id, "r-1");
  assert.match(line.message, /ECONNREFUSED/);
});
