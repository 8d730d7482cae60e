"use client";

/** An API that went away since proxy.ts asked it, or a bug of ours: the log has the details. */
export default function Failed({ reset }: { reset: () => void }) {
  return (
    <section className="empty">
      <h1>That didn&rsquo;t work</h1>
      <p role="alert">The page can&rsquo;t be shown right now. Nothing is lost.</p>
      <p>
        <button onClick={reset}>Try again</button>
      </p>
    </section>
  );
}
