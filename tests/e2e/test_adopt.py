"""Repositories that know nothing of Gangway, adopted with the wheel: tests/e2e/foreign.

Each is copied, committed, adopted and run as it then stands. No line of it is changed by hand: what
the user says is `gangway adopt --yes`, `invoke dev.up`, `test.run`, `prod.init` and `prod.up`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.support import Checkout, docker, eventually, web
from tests.e2e.wheel import UV, run, shell, user

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

FOREIGN = Path(__file__).with_name("foreign")
ENGINES = ("docker", "native")


@dataclass(frozen=True)
class Adopted(Checkout):
    """An adopted repository: what it is, and what `gangway adopt` said."""

    theirs: Theirs = field(kw_only=True)
    said: str = field(kw_only=True)

    def gangway(self, task: str, *words: str, engine: str = "docker", timeout: float = 400) -> str:
        """Run a task on an engine and expect it to succeed; return what it printed."""
        name = ("-c", "gangway_tasks") if self.theirs.has_tasks else ()
        options: dict[str, Any] = {"timeout": timeout, **shell(engine)}
        done = self.invoke(*name, task, *words, **options)
        assert done.status == 0, done.text
        return done.stdout + done.stderr

    def addresses(self, environment: str, engine: str) -> dict[str, str]:
        """Return the URL of each service that is published."""
        lines = self.gangway(f"{environment}.urls", engine=engine).splitlines()
        return dict(line.split(maxsplit=1) for line in lines if "://" in line)

    @contextmanager
    def explained(self, environment: str, engine: str) -> Iterator[None]:
        """Show what the services have said where what they are asked for fails."""
        try:
            yield
        except Exception:
            print(self.gangway(f"{environment}.logs", "--tail", "100", engine=engine))
            raise

    def secret(self, environment: str, name: str) -> str:
        """Return what a file with a secret has."""
        return (self.root / "secrets" / environment / name).read_text(encoding="utf-8").strip()

    def git(self, *words: str) -> str:
        return run("git", *words, cwd=self.root)


@dataclass(frozen=True)
class Place:
    """Where an app is reached, and under which circumstances."""

    adopted: Adopted
    environment: str
    engine: str
    urls: dict[str, str]

    @property
    def client(self) -> httpx.Client:
        """A client of the app, by way of the proxy where there is one."""
        url = self.urls["nginx" if self.environment == "prod" else "api"]
        # As somebody types it, and by a name that Django lets in.
        return web(url.replace("127.0.0.1", "localhost"))

    @property
    def has_containers(self) -> bool:
        """Whether the services of their own Compose file run, too."""
        return self.engine == "docker"


@dataclass(frozen=True)
class Theirs:
    """A repository: how many tests its own tooling runs, and what it does for its users."""

    folder: str
    tests: int
    works: Callable[[Place], None]
    in_production: bool = False
    has_tasks: bool = False
    #: The folder that the copy is put in.
    beneath: str = "projects"


def signs_the_guest_book(place: Place) -> None:
    with place.client as client:
        assert "Hello, guests &amp; friends" in client.get("/").text
        assert client.get("/up/databases").status_code == 200
        assert client.post("/entries", data={"text": "three short words"}).status_code == 302
        eventually(lambda: "three short words (3 words)" in client.get("/").text, within=20)
        if place.environment == "prod":
            assert "rebeccapurple" in client.get("/css/app.css").text


def adds_a_book(place: Place) -> None:
    with place.client as client:
        page = client.get("/")
        # By hand, for in production it is a cookie for TLS alone.
        sent = re.search(r"csrftoken=(\w+)", page.headers["set-cookie"])
        assert sent
        token = sent[1]
        added = client.post(
            "/",
            data={"title": "Emma", "csrfmiddlewaretoken": token},
            files={"cover": ("emma.svg", b"<svg>Emma</svg>")},
            headers={"Cookie": f"csrftoken={token}"},
        )
        assert added.status_code == 302, added.text
        book = added.headers["location"]
        eventually(lambda: "4 letters" in client.get(book).text, within=20, what="the worker's job")
        eventually(
            lambda: "at the last stock-taking" in client.get("/").text, within=20, what="beat"
        )
        cover = re.search(r'<img src="([^"]+)"', client.get(book).text)
        assert cover and client.get(cover[1]).content == b"<svg>Emma</svg>"
        style = re.search(r'href="([^"]+\.css)"', page.text)
        assert style and "#b94a48" in client.get(style[1]).text


def keeps_items(place: Place) -> None:
    password = place.adopted.secret(place.environment, "first_superuser_password")
    with place.client as client:
        assert client.get("/api/v1/utils/health-check/").json() is True
        client.auth = httpx.BasicAuth("admin@example.com", password)
        assert client.post("/api/v1/items/", json={"title": "Lamp"}).status_code == 200
        assert "Lamp" in client.get("/api/v1/items/").json()


def labels_a_part(place: Place) -> None:
    with place.client as client:
        client.post("/parts", data={"name": "M8 bolt"})
        page = client.get("/").text
        assert "M8 bolt" in page
        assert "darkgreen" in client.get("/static/style.css").text
        if place.has_containers:
            label = re.findall(r"/labels/\d+\.svg", page)[-1]
            eventually(lambda: "M8 bolt" in client.get(label).text, within=20)
            mail = place.urls["mail"]
            eventually(lambda: "A label for M8 bolt" in web(mail).get("/").text, within=20)
            assert ".svg" in web(place.urls["dashboard"]).get("/").text


def sells_tea(place: Place) -> None:
    with place.client as client:
        assert client.put("/products", json={"name": "Tea", "cents": 450}).status_code == 201
        assert {"name": "Tea", "price": "4.50 EUR"} in client.get("/products").json()


def follows_a_link(place: Place) -> None:
    with place.client as client:
        client.post("/links", data={"name": "there", "url": "/health"})
        assert client.get("/there", follow_redirects=True).text == "ok"


def counts_visits(place: Place) -> None:
    click = {
        "output": "visits.figure",
        "outputs": {"id": "visits", "property": "figure"},
        "inputs": [{"id": "came", "property": "n_clicks", "value": 1}],
        "changedPropIds": ["came.n_clicks"],
    }
    with place.client as client:
        assert "Visits" in client.get("/").text
        assert client.post("/_dash-update-component", json=click).status_code == 200
        assert sum(client.get("/visits.json").json().values()) == 1


REPOSITORIES = (
    Theirs("flask-factory", 5, signs_the_guest_book, in_production=True),
    Theirs("django-celery", 6, adds_a_book, in_production=True, beneath="my projects"),
    Theirs("fastapi-workspace", 5, keeps_items, in_production=True),
    Theirs("compose-three", 5, labels_a_part, has_tasks=True),
    Theirs("poetry-src", 5, sells_tea),
    Theirs("only-pyproject", 4, follows_a_link),
    Theirs("dash-pipenv", 4, counts_visits),
)


@pytest.fixture(scope="module", params=REPOSITORIES, ids=lambda theirs: str(theirs.folder))
def adopted(
    request: pytest.FixtureRequest, installed: Path, _engine: None, pullable: None
) -> Iterator[Adopted]:
    """One of the repositories, committed and adopted; what it left on the machine goes."""
    theirs: Theirs = request.param
    top = Path(tempfile.mkdtemp(prefix="gangway-adopt-"))
    name = f"gangway-e2e-{uuid.uuid4().hex[:6]}-{theirs.folder}"
    root, home = top / theirs.beneath / name, top / "home"
    home.mkdir()
    shutil.copytree(FOREIGN / theirs.folder, root)
    if (root / "pyproject.toml").exists() and "[tool.uv.workspace]" in (
        root / "pyproject.toml"
    ).read_text(encoding="utf-8"):
        # A lock that uv makes names the registry, and is none that could be kept here.
        run(UV, "lock", "--quiet", cwd=root)
    commit(root)
    who = user(installed)
    said = subprocess.run(
        [installed.with_name("gangway"), "adopt", "--yes", "--name", name, "."],
        cwd=root, env={**os.environ, **who.environ, "HOME": str(home)},
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr
    variables = {"SERVICES_BASE": OFFLINE} if is_offline() else {}
    made = Adopted(root, name, who, home, variables, theirs=theirs, said=said.stdout + said.stderr)
    yield made
    made.remove()
    shutil.rmtree(top)


@pytest.fixture(scope="module")
def pullable(_engine: None) -> Iterator[None]:
    """The foreign images that can't be had where no registry answers: one that only listens."""
    if not is_offline():
        yield
        return
    names = ["axllent/mailpit:v1.27", "adminer:5", "schickling/mailcatcher:latest"]
    missing = [name for name in names if docker("image", "inspect", name).status != 0]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Dockerfile").write_text(LISTENS, encoding="utf-8")
        for name in missing:
            done = docker("build", "--quiet", "--tag", name, folder, timeout=120)
            assert done.status == 0, done.text
    yield
    for name in missing:
        docker("image", "rm", name)


# An image that there is without a registry.
OFFLINE = "gangway.local/python:3.13"
LISTENS = f"""\
FROM {OFFLINE}
CMD ["sh", "-c", "for port in 1025 1080 8025; do python -m http.server $port & done; \
exec python -m http.server 8080"]
"""


def is_offline() -> bool:
    """Say whether images are built here, for want of a registry."""
    return os.environ.get("GANGWAY_IMAGES") == "offline"


def commit(root: Path) -> None:
    """Make a repository of a folder, with one commit."""
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    run("git", "init", "--quiet", cwd=root)
    run("git", "add", "--all", cwd=root)
    run("git", *who, "commit", "--quiet", "--message", "As it was", cwd=root)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def only_adds(adopted: Adopted) -> bool:
    """Say whether git sees new files and nothing else: staged, for nobody has a name there."""
    changed = adopted.git("status", "--short").splitlines()
    return bool(changed) and all(line.startswith("A ") for line in changed)


def test_nothing_of_theirs_is_changed(adopted: Adopted) -> None:
    assert only_adds(adopted), adopted.git("status", "--short")


def test_development_serves_it(adopted: Adopted, engine: str) -> None:
    try:
        adopted.gangway("dev.up", "--ports", "auto", engine=engine)
        urls = adopted.addresses("dev", engine)
        with adopted.explained("dev", engine):
            adopted.theirs.works(Place(adopted, "dev", engine, urls))
    finally:
        adopted.gangway("dev.down", "--volumes", "--yes", engine=engine)


def test_as_many_tests_run_as_their_own_tooling_runs(adopted: Adopted, engine: str) -> None:
    said = adopted.gangway("test.run", engine=engine)
    assert re.search(rf"\b{adopted.theirs.tests} passed|Ran {adopted.theirs.tests} tests", said)
    assert "failed" not in said, said


def test_production_serves_it_behind_the_proxy(adopted: Adopted) -> None:
    if not adopted.theirs.in_production:
        pytest.skip("three of them are enough for the time it takes")
    adopted.gangway("prod.init")
    try:
        adopted.gangway("prod.up", "--ports", "auto")
        urls = adopted.addresses("prod", "docker")
        with adopted.explained("prod", "docker"):
            adopted.theirs.works(Place(adopted, "prod", "docker", urls))
    finally:
        adopted.gangway("prod.down", "--volumes", "--yes")


def test_git_has_nothing_to_say_of_what_was_made_meanwhile(adopted: Adopted) -> None:
    assert only_adds(adopted), adopted.git("status", "--short")
