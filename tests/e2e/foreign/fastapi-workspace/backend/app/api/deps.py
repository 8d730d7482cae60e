from collections.abc import Generator
from typing import Annotated

from common import verify_password
from fastapi import Depends, HTTPException
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.db import engine
from app.models import User


def get_db() -> Generator[Session, None, None]:
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_db)]
CredentialsDep = Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]


def get_current_user(session: SessionDep, credentials: CredentialsDep) -> User:
    user = session.scalar(select(User).where(User.email == credentials.username))
    if not user or not verify_password(credentials.password, user.hashed_password):
        raise HTTPException(status_code=401, detail="Incorrect email or password")
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]
