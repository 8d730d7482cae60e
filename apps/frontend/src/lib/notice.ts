/** Milliseconds between two looks for an API that was away. */
const EVERY = 3000;

/**
 * The whole page that stands in for one while the API is away. It needs nothing but itself, and
 * shows the page again once the API answers.
 */
export const NOTICE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Back in a moment</title>
<style>
:root { color-scheme: light dark; }
body { margin: 0; background: light-dark(#f7f6f2, #14181a); color: light-dark(#1d2528, #e9eceb); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 44rem; margin: 3rem auto; padding: 3rem 1.5rem; text-align: center; }
h1 { margin: 0; letter-spacing: -.02em; }
a { color: light-dark(#1f6f54, #6cc9a4); }
</style>
</head>
<body>
<main>
<h1>Back in a moment</h1>
<p role="alert">The habits can’t be reached right now. Nothing is lost.</p>
<p>This page looks again every few seconds. <a href="/">Try now</a></p>
</main>
<script>
setInterval(async () => {
  const found = await fetch("/api/habits").catch(() => null);
  if (found && found.ok) location.reload();
}, ${EVERY});
</script>
</body>
</html>
`;
