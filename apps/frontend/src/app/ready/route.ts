import { pass } from "@/lib/backend.ts";

export const dynamic = "force-dynamic";

/** Ready when the API is: no page is whole without it. */
export function GET(request: Request): Promise<Response> {
  return pass(request, "ready");
}
