export default function NotFound() {
  return (
    <section className="empty">
      <h1>There is no such page</h1>
      <p>
        <a href="/">To the habits</a>
      </p>
    </section>
  );
}
