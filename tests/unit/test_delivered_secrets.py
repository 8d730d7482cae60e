"""Secrets and configs of a release: what goes into the engine's volume, and what mounts it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gangway.base.errors import FindingsError
from gangway.engines import delivered
from gangway.engines.docker import secrets
from gangway.engines.docker.kept import File
from gangway.model.render import rendered
from gangway.settings import contract
from gangway.settings.environment import load

if TYPE_CHECKING:
    from tests.unit.conftest import Checkout


def model(**services: Any) -> dict[str, Any]:
    return {"name": "x", "services": services, "volumes": {"data": {}}}


def reader(**more: Any) -> dict[str, Any]:
    return {"user": "10:20", "pull_policy": "never", "secrets": [{"source": "key"}], **more}


def mount(placed: secrets.Placed, service: str, number: int = 0) -> Any:
    return placed.model["services"][service]["volumes"][number]


def subpath(placed: secrets.Placed, service: str, number: int = 0) -> str:
    return str(mount(placed, service, number)["volume"]["subpath"])


def test_a_secret_becomes_a_file_of_the_service_s_user_that_it_mounts() -> None:
    placed = secrets.place(model(api=reader()), {"key": b"abc"})
    assert mount(placed, "api") == {
        "type": "volume",
        "source": "gangway-secrets",
        "target": "/run/secrets/key",
        "read_only": True,
        "volume": {"nocopy": True, "subpath": subpath(placed, "api")},
    }
    assert placed.files == {subpath(placed, "api"): File(b"abc", 10, 20, 0o400)}
    assert placed.model["volumes"]["gangway-secrets"] == {"external": True, "name": "x-secrets"}
    assert "secrets" not in placed.model["services"]["api"]


def test_services_of_several_users_mount_a_file_each() -> None:
    both = model(api=reader(), other=reader(user="30:40"), same=reader())
    placed = secrets.place(both, {"key": b"abc"})
    assert subpath(placed, "api") == subpath(placed, "same") != subpath(placed, "other")
    assert {file[1:] for file in placed.files.values()} == {(10, 20, 0o400), (30, 40, 0o400)}


def test_a_new_content_is_another_mount_and_another_digest_that_tells_nothing() -> None:
    first, second = (secrets.place(model(api=reader()), {"key": data}) for data in (b"a", b"b"))
    assert subpath(first, "api") != subpath(second, "api")
    assert first.digests["api"] != second.digests["api"]
    other = secrets.place({**model(api=reader()), "name": "y"}, {"key": b"a"})
    assert other.digests["api"] != first.digests["api"]


def test_what_keeps_data_is_not_moved_by_a_new_content() -> None:
    first, second = (
        secrets.place(model(db=reader()), {"key": data}, steady={"db"}) for data in (b"a", b"b")
    )
    assert first.model == second.model
    assert first.digests == second.digests == {"db": ""}
    assert first.files != second.files


def test_what_keeps_data_has_a_folder_in_which_it_sees_a_new_content_at_once() -> None:
    placed = secrets.place(model(db=reader()), {"key": b"abc"}, steady={"db"})
    assert mount(placed, "db")["target"] == "/run/secrets"
    assert placed.files == {f"{subpath(placed, 'db')}/key": File(b"abc", 10, 20, 0o400)}


def test_what_keeps_data_and_reads_elsewhere_too_mounts_each_file() -> None:
    elsewhere = [{"source": "key"}, {"source": "other", "target": "/etc/other"}]
    both = {"key": b"abc", "other": b"def"}
    placed = secrets.place(model(db=reader(secrets=elsewhere)), both, steady={"db"})
    assert [mount(placed, "db", n)["target"] for n in (0, 1)] == ["/run/secrets/key", "/etc/other"]


def test_the_stores_that_rotate_gives_a_new_secret_are_steady() -> None:
    services = model(postgres=reader(), redis=reader(), api=reader(), db=reader())
    assert delivered.steady(services) == {"postgres", "redis"}


@pytest.mark.parametrize(
    ("service", "entry", "owner"),
    [
        ({"user": "10"}, {}, (10, 0, 0o400)),
        ({"user": "node"}, {}, (0, 0, 0o444)),
        ({"user": None}, {}, (0, 0, 0o444)),
        ({"user": "node"}, {"uid": "7", "gid": "8"}, (7, 8, 0o400)),
        ({"user": "10:20"}, {"mode": "0440"}, (10, 20, 0o440)),
        ({"user": "10:20"}, {"mode": 0o440}, (10, 20, 0o440)),
    ],
)
def test_the_owner_is_the_user_whose_number_is_known_or_the_entry_s_own(
    service: dict[str, Any], entry: dict[str, Any], owner: tuple[int, int, int]
) -> None:
    each = reader(**service, secrets=[{"source": "key", **entry}])
    placed = secrets.place(model(api=each), {"key": b"abc"})
    assert [tuple(file[1:]) for file in placed.files.values()] == [owner]


def test_a_config_is_what_the_release_says_with_its_dollars() -> None:
    service = {"user": "10", "configs": [{"source": "nginx", "target": "/etc/x"}]}
    raw = {**model(web=service), "configs": {"nginx": {"content": "a $$b\n"}}}
    placed = secrets.place(raw, {})
    assert list(placed.files.values()) == [File(b"a $b\n", 10, 0, 0o444)]
    assert mount(placed, "web")["target"] == "/etc/x"
    assert "configs" not in placed.model


def test_a_folder_of_another_machine_is_copied_to_a_place_that_stays() -> None:
    first, second = (
        secrets.place(model(web=reader()), {"key": {"tls.crt": data}}) for data in (b"a", b"b")
    )
    assert first.model == second.model
    assert list(first.files.values()) == [File(b"a", 10, 20, 0o400)]
    assert next(iter(first.files)) == f"{subpath(first, 'web')}/tls.crt"


def test_a_folder_of_this_machine_is_mounted_as_it_is() -> None:
    placed = secrets.place(model(web=reader()), {"key": Path("/a$b")})
    assert mount(placed, "web")["type"] == "bind"
    assert mount(placed, "web")["source"] == "/a$$b"
    assert not placed.files


FILES = """\
services: {api: {image: x, secrets: [key, none, token]}}
secrets:
  key: {file: ./s/key}
  none: {file: /dev/null}
  token: {environment: TOKEN}
"""


def contents(
    shell: dict[str, str], root: Path, service: dict[str, Any]
) -> dict[str, delivered.Content]:
    env = load(root, "prod", engine="docker", shell=shell)
    raw = model(api=service, idle={"secrets": [{"source": "nowhere"}]})
    known = contract.load(root)
    return delivered.contents(env, raw, rendered(env), known, ["api"], is_local=True)


def entries(*names: str) -> dict[str, Any]:
    return {"secrets": [{"source": name, "target": f"/run/secrets/{name}"} for name in names]}


@pytest.fixture
def root(checkout: Checkout) -> Path:
    env = "ENVIRONMENT=production\nCOMPOSE_FILE=c.yml\nCOMPOSE_PROJECT_NAME=x\nSECRETS_DIR=s\n"
    own = "groups: {Ours: {KEY: {type: string, meaning: m, secret: true, secret_file: key}}}\n"
    return checkout(
        {"env/prod.env": env + "TOKEN=t\n", "env/contract.yml": own, "c.yml": FILES, "s/key": "k\n"}
    )


def test_what_the_services_read_comes_from_this_machine(shell: dict[str, str], root: Path) -> None:
    read = contents(shell, root, entries("key", "none", "token"))
    assert read == {"key": b"k\n", "none": b"", "token": b"t"}


def test_a_secret_that_the_checkout_has_no_more_is_looked_for_among_the_others(
    shell: dict[str, str], root: Path
) -> None:
    (root / "s" / "old").write_text("o")
    assert contents(shell, root, entries("old")) == {"old": b"o"}


def test_all_that_is_missing_is_named_with_its_file_and_what_makes_it(
    shell: dict[str, str], root: Path
) -> None:
    (root / "s" / "key").unlink()
    with pytest.raises(FindingsError) as error:
        contents(shell, root, entries("key", "gone"))
    first, second = error.value.findings
    assert (first.what, first.where) == ("the secret key of api has no file", "s/key")
    assert first.fix == "invoke prod.init"
    assert second.where == "s/gone"


def test_a_secret_that_is_nowhere_and_that_the_release_counts_on_is_missing(
    shell: dict[str, str], root: Path
) -> None:
    service = {**entries("none"), "environment": {"NONE_FILE": "/run/secrets/none"}}
    with pytest.raises(FindingsError, match="the secret none is nowhere"):
        contents(shell, root, service)


def test_a_key_before_this_one_is_nowhere_most_of_the_time(
    shell: dict[str, str], root: Path
) -> None:
    (root / "c.yml").write_text(FILES.replace("none", "key_previous"))
    variables = {"KEY_PREVIOUS_FILE": "/run/secrets/key_previous"}
    service = {**entries("key_previous"), "environment": variables}
    assert contents(shell, root, service) == {"key_previous": b""}


def test_only_what_nobody_mounts_is_stale() -> None:
    there = {"key.1": b"a", "key.2": b"b", "gone": b"", "tls.1/tls.crt": b"c", "old.1/x": b"d"}
    assert secrets.stale(there, {"key.2", "tls.1"}) == ["key.1", "old.1/x"]
