from common import hash_password
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from app.core.config import settings
from app.models import User

engine = create_engine(str(settings.SQLALCHEMY_DATABASE_URI))


# make sure all models are imported (app.models) before initializing DB
def init_db(session: Session) -> None:
    # Tables should be created with Alembic migrations
    user = session.scalar(select(User).where(User.email == settings.FIRST_SUPERUSER))
    if not user:
        session.add(
            User(
                email=settings.FIRST_SUPERUSER,
                hashed_password=hash_password(settings.FIRST_SUPERUSER_PASSWORD),
                is_superuser=True,
            )
        )
        session.commit()
