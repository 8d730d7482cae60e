import { NextResponse, type NextRequest } from "next/server";

import { listHabits } from "./lib/backend.ts";
import { complain } from "./lib/log.ts";
import { NOTICE } from "./lib/notice.ts";

export const config = { matcher: "/" };

/** A page that can't show anything says so by its status as well: only here can one be set. */
export async function proxy(request: NextRequest): Promise<NextResponse> {
  try {
    await listHabits(request.headers);
  } catch (error) {
    complain(String(error), request.headers);
    return new NextResponse(NOTICE, {
      status: 503,
      headers: {
        "Cache-Control": "no-store",
        "Content-Type": "text/html; charset=utf-8",
        "Retry-After": "5",
      },
    });
  }
  return NextResponse.next();
}
