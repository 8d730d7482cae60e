import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

import type { NextConfig } from "next";

const here = import.meta.dirname;

/** The same sources have the same number, and others another: browsers keep what is below it. */
function buildId(): string {
  const hash = createHash("sha256");
  const sources = ["src/**", "public/**", "package-lock.json", "next.config.ts"];
  const found = globSync(sources, { cwd: here, withFileTypes: true });
  const files = found.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name));
  for (const file of files.sort()) {
    hash.update(relative(here, file)).update(readFileSync(file));
  }
  return hash.digest("hex").slice(0, 20);
}

const config: NextConfig = {
  generateBuildId: buildId,
  distDir: process.env.NEXT_DIST_DIR ?? ".next",
  // A server with the few packages that it uses: what the production image consists of.
  output: "standalone",
  outputFileTracingRoot: here,
  turbopack: { root: here },
  // A compiler that remembers what it knew before a restart may make a page reload without end.
  experimental: { turbopackFileSystemCacheForDev: false },
  // No picture is ever resized here: the library for it stays out.
  images: { unoptimized: true },
  outputFileTracingExcludes: { "*": ["node_modules/sharp/**", "node_modules/@img/**"] },
  poweredByHeader: false,
  reactStrictMode: true,
  logging: { incomingRequests: { ignore: [/^\/(health|ready)$/] } },
  typedRoutes: true,
  // Published on the loopback address; the development server distrusts other names than its own.
  allowedDevOrigins: ["127.0.0.1"],
};

export default config;
