from contextlib import asynccontextmanager

import asyncpg
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route

from app.config import DATABASE_URL, DEBUG


@asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(str(DATABASE_URL), min_size=1, max_size=4) as pool:
        app.state.pool = pool
        yield


async def health(request):
    return PlainTextResponse("ok")


async def links(request):
    if request.method == "POST":
        form = await request.form()
        await request.app.state.pool.execute(
            "INSERT INTO links VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET url = $2",
            form["name"],
            form["url"],
        )
    rows = await request.app.state.pool.fetch("SELECT name, url FROM links ORDER BY name")
    return JSONResponse({row["name"]: row["url"] for row in rows})


async def follow(request):
    url = await request.app.state.pool.fetchval(
        "SELECT url FROM links WHERE name = $1", request.path_params["name"]
    )
    if url is None:
        raise HTTPException(404)
    return RedirectResponse(url)


app = Starlette(
    debug=DEBUG,
    lifespan=lifespan,
    routes=[
        Route("/health", health),
        Route("/links", links, methods=["GET", "POST"]),
        Route("/{name}", follow),
    ],
)
