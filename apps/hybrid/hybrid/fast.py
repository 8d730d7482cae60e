"""FastAPI's side of the stack: the habits' API of apps/api, and the search that Django has too."""

import os
from typing import Annotated

from fastapi import HTTPException, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from sqlalchemy import select

from api.habits import Db
from api.main import create_app
from api.models import Habit
from api.settings import load
from hybrid.index import Index, IndexAway

app = create_app(load())
index = Index(os.environ.get("QDRANT_URL") or "http://qdrant:6333")


class MatchOut(BaseModel):
    """A habit and how near it is."""

    id: int
    name: str
    score: float


@app.get("/similar", responses={503: {"description": "Qdrant is away"}})
async def similar(
    db: Db, text: Annotated[str, Query(min_length=1, max_length=100)]
) -> list[MatchOut]:
    """List the habits whose names are like ``text``."""
    rows = await db.execute(select(Habit.id, Habit.name))
    habits = {row.id: row.name for row in rows}
    try:
        found = await run_in_threadpool(index.similar, habits, text)
    except IndexAway:
        raise HTTPException(503, "the search is away") from None
    return [MatchOut(id=match.id, name=match.name, score=match.score) for match in found]
