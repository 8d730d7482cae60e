"""A newer PostgreSQL: refused until it is asked for, copied and compared, and the way back."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.e2e.conftest import MakeCheckout, MakeNative
from tests.e2e.support import Checkout, docker, eventually, myself, names, one_message, web
from tests.support.postgres import free_port

pytestmark = [pytest.mark.timeout(600)]

SOURCE = os.environ.get("GANGWAY_IMAGES") or "registry"
IMAGES = f"env/images/{SOURCE}.env"
OLD = "gangway.local/postgres:17" if SOURCE == "offline" else "postgres:17-trixie"
#: Where 17's data is below the volume; its image has it in a volume of its own.
PLACE = "/var/lib/postgresql/17/docker"
VERSION = "select current_setting('server_version_num')::int / 10000"
READ_ONLY = "show default_transaction_read_only"
ROWS = """
create table public.kept (n int primary key, t text default repeat('x', 200));
insert into kept select generate_series(1, 20000);
"""


def image(checkout: Checkout, name: str) -> str:
    """Have the checkout's files name an image of PostgreSQL; return the one before."""
    text = (checkout.root / IMAGES).read_text(encoding="utf-8")
    found = re.search(r"^POSTGRES_IMAGE=(.*)$", text, re.MULTILINE)
    assert found
    checkout.write(IMAGES, text.replace(found[0], f"POSTGRES_IMAGE={name}"))
    return found[1]


def place(checkout: Checkout, environment: str, path: str) -> None:
    """Have the environment's file say where the data is; empty: where the image has it."""
    file = f"env/{environment}.env"
    text = (checkout.root / file).read_text(encoding="utf-8")
    text = re.sub(r"^POSTGRES_DATA=.*\n", "", text, flags=re.MULTILINE)
    checkout.write(file, text + (f"POSTGRES_DATA={path}\n" if path else ""))


def volumes(checkout: Checkout, environment: str) -> list[str]:
    """Return the ends of the names of PostgreSQL's volumes."""
    prefix = f"{checkout.project(environment)}_"
    found = names("volume", "ls", "--format", "{{.Name}}", filters=[f"name={prefix}postgres"])
    return sorted(name.removeprefix(prefix) for name in found)


@pytest.fixture(scope="module")
def old_image(make_checkout: MakeCheckout) -> str:
    """An image of the major before; it is built where no registry answers."""
    if SOURCE == "offline":
        make_checkout("maker").succeed("images.offline", "--also", "postgres-17", timeout=500)
    elif docker("pull", OLD, timeout=300).status != 0:
        pytest.skip(f"{OLD} can't be had")
    return OLD


@pytest.fixture(scope="module")
def checkout(make_checkout: MakeCheckout, old_image: str) -> Checkout:
    """The checkout that development's tests share."""
    assert old_image
    return make_checkout()


@pytest.fixture(scope="module")
def new_image(checkout: Checkout) -> str:
    """The image that its files have named before they name the old one."""
    return image(checkout, OLD)


@pytest.mark.engine
class TestDevelopment:
    """In this order: each goes on where the last one ended."""

    def test_an_image_whose_data_would_be_lost_is_refused_with_a_way_on(
        self, checkout: Checkout, new_image: str
    ) -> None:
        assert new_image != OLD
        message = one_message(checkout.invoke("dev.up", "postgres"))
        assert "has a volume of its own at /var/lib/postgresql/data" in message
        assert f"POSTGRES_DATA={PLACE}" in message
        assert checkout.containers("dev") == []
        place(checkout, "dev", PLACE)
        checkout.succeed("dev.up", "--ports", "auto")
        assert checkout.sql("dev", VERSION) == "17"
        checkout.sql("dev", ROWS)

    def test_another_major_than_the_volumes_is_refused_before_it_is_started(
        self, checkout: Checkout, new_image: str
    ) -> None:
        before = checkout.ids("dev")
        place(checkout, "dev", "")
        image(checkout, new_image)
        for running in (True, False):
            message = one_message(checkout.invoke("dev.up"))
            assert "is of PostgreSQL 17, and " in message
            assert "invoke dev.upgrade-postgres takes it to 18 and keeps the old" in message
            assert checkout.ids("dev") == (before if running else {})
            if running:
                checkout.succeed("dev.down")

    def test_what_is_killed_on_its_way_leaves_the_old_as_it_was(self, checkout: Checkout) -> None:
        with checkout.started("dev.upgrade-postgres") as upgrading:
            upgrading.says("writes have ended")
            once = ["label=com.docker.compose.oneoff=True", f"name={checkout.prefix}"]
            (container,) = names("ps", "-q", filters=once)
            assert docker("kill", container).status == 0
            assert upgrading.ended() == 2
        assert f"stays on {OLD}: the data was not copied" in upgrading.text
        assert volumes(checkout, "dev") == ["postgres-data"]
        assert checkout.sql("dev", VERSION) == "17"
        assert checkout.sql("dev", READ_ONLY) == "off"

    def test_the_upgrade_copies_compares_and_keeps_the_old(self, checkout: Checkout) -> None:
        done = checkout.succeed("dev.upgrade-postgres")
        said = re.search(r"(\d+) tables and (\d+) rows, compared; it took no writes", done.stderr)
        assert said, done.text
        assert int(said[2]) >= 20000
        assert "run --rm --no-deps --no-TTY postgres bash -s postgres" in done.stderr
        assert volumes(checkout, "dev") == ["postgres-data", "postgres-data-18"]
        assert checkout.sql("dev", VERSION) == "18"
        assert checkout.sql("dev", "select count(*) from kept") == "20000"
        checkout.sql("dev", "insert into kept values (0)")
        checkout.succeed("dev.up")
        checkout.succeed("dev.down")
        checkout.succeed("dev.up")
        assert checkout.sql("dev", "select count(*) from kept") == "20001"

    def test_the_old_data_is_not_taken_for_the_newest(self, checkout: Checkout) -> None:
        old = ("-e", f"POSTGRES_IMAGE={OLD}", "-e", "POSTGRES_VOLUME=postgres-data")
        message = one_message(checkout.invoke("dev.up", *old, "-e", f"POSTGRES_DATA={PLACE}"))
        assert "has gone to PostgreSQL postgres-data-18" in message

    def test_the_way_back_is_one_command(self, checkout: Checkout) -> None:
        message = one_message(checkout.invoke("dev.upgrade-postgres", "--back"))
        assert "without what was written since: not confirmed" in message
        assert checkout.sql("dev", VERSION) == "18"
        checkout.succeed("dev.upgrade-postgres", "--back", "--yes")
        assert checkout.sql("dev", VERSION) == "17"
        checkout.sql("dev", "insert into kept values (-1)")
        checkout.succeed("dev.up")
        assert checkout.sql("dev", "select min(n) from kept") == "-1"
        message = one_message(checkout.invoke("dev.upgrade-postgres", "--to", "17"))
        assert "is of PostgreSQL 17, and " in message

    def test_it_may_be_done_once_more(self, checkout: Checkout) -> None:
        checkout.succeed("dev.upgrade-postgres", "--to", "18")
        assert volumes(checkout, "dev") == [
            "postgres-data", "postgres-data-18", "postgres-data-18-2"
        ]  # fmt: skip
        assert checkout.sql("dev", "select min(n) from kept") == "-1"
        checkout.succeed("dev.down", "--volumes", "--yes")
        # The old data goes by hand alone.
        assert volumes(checkout, "dev") == ["postgres-data", "postgres-data-18"]


@contextmanager
def read(client: httpx.Client, path: str) -> Iterator[list[int]]:
    """Ask for a page again and again in the block; the list gets each status, 0 for none."""
    seen: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.05):
            try:
                seen.append(client.get(path).status_code)
            except httpx.HTTPError:
                seen.append(0)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield seen
    finally:
        stop.set()
        asking.join()


@pytest.mark.engine
def test_production_answers_reads_all_the_while(
    make_checkout: MakeCheckout, old_image: str
) -> None:
    checkout = make_checkout("production")
    new_image = image(checkout, old_image)
    place(checkout, "prod", PLACE)
    checkout.succeed("prod.init")
    checkout.succeed("prod.up", "--ports", "auto", timeout=400)
    checkout.sql("prod", ROWS)
    place(checkout, "prod", "")
    image(checkout, new_image)
    message = one_message(checkout.invoke("prod.deploy"))
    assert "invoke prod.upgrade-postgres takes it to 18" in message
    with web(checkout.urls("prod")["nginx"]) as client:
        with read(client, "/api/habits") as seen:
            done = checkout.succeed("prod.upgrade-postgres", timeout=300)
        assert seen and set(seen) == {200}, (seen, done.text)
        assert checkout.sql("prod", VERSION) == "18"
        made = client.post("/api/habits", json={"name": "after the upgrade"})
        assert made.status_code == 201, made.text
        checkout.succeed("prod.up")
        assert checkout.sql("prod", "select count(*) from kept") == "20000"
        checkout.succeed("prod.upgrade-postgres", "--back", "--yes", timeout=300)
        assert checkout.sql("prod", VERSION) == "17"
        eventually(lambda: client.get("/api/habits").status_code == 200, what="reads")
        assert "after the upgrade" not in client.get("/api/habits").text
    checkout.succeed("prod.down", "--volumes", "--yes")


def test_natively_data_of_another_major_is_refused(make_native: MakeNative) -> None:
    checkout = make_native(user=myself())
    folder = checkout.root / ".gangway/native" / checkout.project("dev") / "volumes/postgres-data"
    assert checkout.run("mkdir", "-p", str(folder)).status == 0
    checkout.write(str(folder.relative_to(checkout.root) / "PG_VERSION"), "17\n")
    message = one_message(checkout.invoke("dev.up"))
    assert "is of PostgreSQL 17, and " in message
    assert sorted(path.name for path in folder.iterdir()) == ["PG_VERSION"]
    free = f"PUBLISHED_POSTGRES_PORT={free_port()}"
    message = one_message(checkout.invoke("dev.upgrade-postgres", "-e", free))
    assert "natively there is one PostgreSQL, that of the wheel" in message
