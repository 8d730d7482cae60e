"""The web app: what it answers."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
def health() -> dict[str, str]:
    """Say that the app is up; nothing else is asked for it."""
    return {"status": "ok"}


@app.get("/")
def hello(name: str = "world") -> dict[str, str]:
    """Greet somebody."""
    return {"hello": name}
