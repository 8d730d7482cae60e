import logging

from sqlalchemy import select
from sqlalchemy.orm import Session
from tenacity import after_log, before_log, retry, stop_after_attempt, wait_fixed

from app.core.db import engine

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger(__name__)

max_tries = 60 * 5  # 5 minutes
wait_seconds = 1


@retry(
    stop=stop_after_attempt(max_tries),
    wait=wait_fixed(wait_seconds),
    before=before_log(logger, logging.INFO),
    after=after_log(logger, logging.WARN),
)
def init() -> None:
    with Session(engine) as session:
        # Try to create session to check if DB is awake
        session.execute(select(1))


if __name__ == "__main__":
    logger.info("Initializing service")
    init()
    logger.info("Service finished initializing")
