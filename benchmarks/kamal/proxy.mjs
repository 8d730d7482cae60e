// What kamal-proxy does for a service, in a few lines: POST /deploy?target=HOST:PORT on port 9000
// asks the target for its health each second for up to 30 s, sends all new requests to it from then
// on, and drains the one before: upgraded connections end at once, requests get up to 30 s.
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";

const PREFIX = "/api";
const DEPLOY_SECONDS = 30;
const DRAIN_SECONDS = 30;
let active = null;

class Target {
  constructor(address) {
    [this.host, this.port] = address.split(":");
    this.agent = new http.Agent({ keepAlive: true, maxFreeSockets: 100 });
    this.requests = new Set();
    this.upgraded = new Set();
  }

  options(request) {
    const { method, headers, url } = request;
    const path = url.startsWith(`${PREFIX}/`) ? url.slice(PREFIX.length) : url;
    return { host: this.host, port: this.port, method, path, headers, agent: this.agent };
  }

  async healthy() {
    try {
      const answer = await fetch(`http://${this.host}:${this.port}/health`, {
        signal: AbortSignal.timeout(5000),
      });
      return answer.ok;
    } catch {
      return false;
    }
  }

  async drain() {
    for (const socket of this.upgraded) socket.destroy();
    const until = Date.now() + DRAIN_SECONDS * 1000;
    while (this.requests.size && Date.now() < until) await sleep(100);
    for (const answer of this.requests) answer.destroy();
    this.agent.destroy();
  }
}

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function refuse(answer, status) {
  if (answer.headersSent) answer.destroy();
  else answer.writeHead(status).end();
}

function serve(request, answer) {
  const target = active;
  if (!target) return refuse(answer, 503);
  target.requests.add(answer);
  answer.on("close", () => target.requests.delete(answer));
  // Like Go's client, it sends what has no body again where a kept connection has just ended.
  const send = (again) => {
    const up = http.request(target.options(request), (found) => {
      answer.writeHead(found.statusCode, found.headers);
      found.on("error", () => answer.destroy());
      found.pipe(answer);
    });
    up.on("error", () => {
      if (again && up.reusedSocket && !answer.headersSent) send(false);
      else refuse(answer, 502);
    });
    answer.on("close", () => up.destroy());
    if (request.method === "GET") up.end();
    else request.pipe(up);
  };
  return send(request.method === "GET");
}

function upgrade(request, socket) {
  const target = active;
  socket.on("error", () => {});
  if (!target) return socket.destroy();
  const up = http.request({ ...target.options(request), agent: false });
  up.on("upgrade", (found, upstream, head) => {
    target.upgraded.add(socket);
    const raw = found.rawHeaders;
    const lines = raw.flatMap((name, n) => (n % 2 ? [] : [`${name}: ${raw[n + 1]}`]));
    socket.write(["HTTP/1.1 101 Switching Protocols", ...lines, "", ""].join("\r\n"));
    upstream.write(head);
    socket.on("close", () => {
      target.upgraded.delete(socket);
      upstream.destroy();
    });
    upstream.on("error", () => socket.destroy());
    upstream.on("close", () => socket.destroy());
    upstream.pipe(socket).pipe(upstream);
  });
  up.on("response", () => socket.destroy());
  up.on("error", () => socket.destroy());
  return up.end();
}

async function control(request, answer) {
  const address = new URL(request.url, "http://localhost").searchParams.get("target");
  if (!address) return answer.end("up");
  const target = new Target(address);
  const until = Date.now() + DEPLOY_SECONDS * 1000;
  while (!(await target.healthy())) {
    if (Date.now() > until) return answer.writeHead(500).end("target failed to become healthy");
    await sleep(1000);
  }
  const before = active;
  active = target;
  await before?.drain();
  return answer.end("deployed");
}

const tls = "/run/secrets/tls";
const files = {
  cert: readFileSync(`${tls}/certificate.pem`),
  key: readFileSync(`${tls}/key.pem`),
};
const front = https.createServer({ ...files, keepAliveTimeout: 75000 }, serve);
front.on("upgrade", upgrade);
front.listen(8443);
http.createServer({ requestTimeout: 0 }, control).listen(9000);
