from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from app.api.deps import CurrentUser, SessionDep
from app.models import Item

router = APIRouter(prefix="/items", tags=["items"])


class ItemCreate(BaseModel):
    title: str


@router.get("/")
def read_items(session: SessionDep, current_user: CurrentUser) -> list[str]:
    statement = select(Item.title).where(Item.owner_id == current_user.id)
    return list(session.scalars(statement))


@router.post("/")
def create_item(
    session: SessionDep, current_user: CurrentUser, item_in: ItemCreate
) -> str:
    session.add(Item(title=item_in.title, owner_id=current_user.id))
    session.commit()
    return item_in.title
