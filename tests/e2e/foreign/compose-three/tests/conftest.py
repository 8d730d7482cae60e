import pytest
from alembic import command
from alembic.config import Config

from inventory.wsgi import app


@pytest.fixture(scope="session", autouse=True)
def migrated():
    command.upgrade(Config("alembic.ini"), "head")


@pytest.fixture
def client():
    return app.test_client()
