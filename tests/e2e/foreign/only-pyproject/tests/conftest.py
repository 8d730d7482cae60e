import subprocess
import sys

import pytest
from starlette.testclient import TestClient

from app.main import app


@pytest.fixture(scope="session")
def client():
    subprocess.run([sys.executable, "-m", "alembic", "upgrade", "head"], check=True)
    with TestClient(app, follow_redirects=False) as client:
        yield client
