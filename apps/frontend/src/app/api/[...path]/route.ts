import type { NextRequest } from "next/server";

import { pass } from "@/lib/backend.ts";

// A route and no rewrite in next.config.ts: that would fix the API's address when the image is
// built. In production nginx passes /api/ on by itself.
function handle(request: NextRequest): Promise<Response> {
  return pass(request, request.nextUrl.pathname.replace(/^\/api\//, ""));
}

export { handle as DELETE, handle as GET, handle as PATCH, handle as POST, handle as PUT };
