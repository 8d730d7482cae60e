from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import select

from shop.db import Product, Session, create_tables
from shop.settings import settings


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    await create_tables()
    yield


app = FastAPI(title="Shop", lifespan=lifespan)


class ProductIn(BaseModel):
    name: str
    cents: int


@app.get("/products")
async def products() -> list[dict[str, str]]:
    async with Session() as session:
        found = await session.scalars(select(Product).order_by(Product.name))
        return [
            {"name": each.name, "price": f"{each.cents / 100:.2f} {settings.currency}"}
            for each in found
        ]


@app.put("/products", status_code=201)
async def put_product(product: ProductIn) -> None:
    if product.cents < 0:
        raise HTTPException(422, "a price is never negative")
    async with Session() as session, session.begin():
        found = await session.scalar(select(Product).where(Product.name == product.name))
        if found:
            found.cents = product.cents
        else:
            session.add(Product(name=product.name, cents=product.cents))
