"""An app that isn't ours: notes, kept in PostgreSQL. `python -m notes` makes its table."""

import asyncio
import os
from pathlib import Path
from typing import Any

import asyncpg
from fastapi import FastAPI

app = FastAPI()


def password() -> str:
    """Return the secret that the stack mounts."""
    return Path(os.environ["POSTGRES_PASSWORD_FILE"]).read_text().strip()


async def connect() -> "asyncpg.Connection[Any]":
    """Return a connection to the stack's database."""
    return await asyncpg.connect(
        host=os.environ["POSTGRES_HOST"],
        port=int(os.environ["POSTGRES_PORT"]),
        database=os.environ["POSTGRES_DB"],
        user=os.environ["POSTGRES_USER"],
        password=password(),
    )


@app.get("/health")
def health() -> dict[str, str]:
    """Say that the server is up."""
    return {"status": "ok"}


@app.get("/notes")
async def notes() -> list[str]:
    """List the notes."""
    connection = await connect()
    try:
        return [row["text"] for row in await connection.fetch("SELECT text FROM notes ORDER BY id")]
    finally:
        await connection.close()


@app.post("/notes/{text}", status_code=201)
async def add(text: str) -> None:
    """Write a note down."""
    connection = await connect()
    try:
        await connection.execute("INSERT INTO notes (text) VALUES ($1)", text)
    finally:
        await connection.close()


async def migrate() -> None:
    """Make the table."""
    connection = await connect()
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS notes (id serial PRIMARY KEY, text text NOT NULL)"
    )
    await connection.close()


if __name__ == "__main__":
    asyncio.run(migrate())
