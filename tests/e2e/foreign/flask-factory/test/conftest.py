import pytest
from sqlalchemy import create_engine, text

from config import settings
from hello.app import create_app
from hello.extensions import db as _db


def create_database(name):
    """
    Create a database next to the app's own unless it exists.

    :param name: Database name
    """
    engine = create_engine(
        settings.SQLALCHEMY_DATABASE_URI, isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        exists = text("SELECT 1 FROM pg_database WHERE datname = :name")
        if not connection.scalar(exists, {"name": name}):
            connection.execute(text(f'CREATE DATABASE "{name}"'))
    engine.dispose()


@pytest.fixture(scope="session")
def app():
    """
    Setup our flask test app, this only gets executed once.

    :return: Flask app
    """
    db_uri = f"{settings.SQLALCHEMY_DATABASE_URI}_test"

    create_database(f"{settings.pg_db}_test")

    params = {
        "DEBUG": False,
        "TESTING": True,
        "SQLALCHEMY_DATABASE_URI": db_uri,
    }

    _app = create_app(settings_override=params)

    # Establish an application context before running the tests.
    ctx = _app.app_context()
    ctx.push()

    yield _app

    ctx.pop()


@pytest.fixture(scope="function")
def client(app):
    """
    Setup an app client, this gets executed for each test function.

    :return: Flask app client
    """
    yield app.test_client()


@pytest.fixture(scope="session")
def db(app):
    """
    Setup our database, this only gets executed once per session.

    :return: SQLAlchemy database session
    """
    _db.drop_all()
    _db.create_all()

    return _db
