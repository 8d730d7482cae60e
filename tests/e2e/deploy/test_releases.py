"""Releases for real: what is built, named, kept and removed, and that the same makes the same.

Of the core stack, what needs no profile: the api's image for its migrations, and the proxy's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping

import pytest

from tests.e2e.conftest import MakeCheckout, copies
from tests.e2e.support import Checkout, docker, inspect, names, one_message

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

#: The services that have an image of their own, and the ones who share it.
BUILT = {"migrate", "nginx"}
PRUNE = """
from pathlib import Path
from gangway.operations.project import open_project
from gangway.operations.releases.keep import prune
print(*prune(open_project(Path.cwd(), "prod")))
"""


@pytest.fixture(scope="module")
def make(_engine: None) -> Iterator[MakeCheckout]:
    with copies(Checkout, {"GANGWAY_ENGINE": "docker"}) as made:
        yield made


@pytest.fixture(scope="module")
def checkout(make: MakeCheckout) -> Checkout:
    """Return a checkout that is a commit, with its first release."""
    found = make()
    env = (found.root / "env/prod.env").read_text(encoding="utf-8")
    found.write("env/prod.env", re.sub(r"(?m)^COMPOSE_PROFILES=.*", "COMPOSE_PROFILES=", env))
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "First"]):
        git(found, *words)
    build(found)
    return found


def git(checkout: Checkout, *words: str) -> None:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "gc.auto=0")
    done = checkout.run("git", *who, *words)
    assert done.status == 0, done.text


def build(checkout: Checkout, *words: str, **variables: str) -> str:
    return checkout.succeed("prod.build", *words, timeout=360, **variables).stdout.strip()


def images(checkout: Checkout, release: str) -> dict[str, tuple[str, str]]:
    """Return the name and the number of each image of a release, by service."""
    found = records(checkout)[f"releases/{release}.json"]
    return {
        name: (image["ref"], image["id"]) for name, image in json.loads(found)["images"].items()
    }


def records(checkout: Checkout) -> Mapping[str, str]:
    volume = f"{checkout.project('prod')}-releases"
    target = checkout.home / "records"
    shutil.rmtree(target, ignore_errors=True)
    assert docker("cp", f"{volume}:/kept", str(target)).status == 0
    files = (path for path in target.rglob("*") if path.is_file())
    return {path.relative_to(target).as_posix(): path.read_text() for path in files}


def untagged(checkout: Checkout) -> list[str]:
    label = f"label=com.docker.compose.project={checkout.project('prod')}"
    return names("image", "ls", "-q", filters=["dangling=true", label])


def newest(checkout: Checkout) -> str:
    lines = checkout.succeed("prod.releases").stdout.splitlines()
    return lines[1].split()[0]


def test_a_release_names_its_images_after_itself(checkout: Checkout) -> None:
    name = newest(checkout)
    found = images(checkout, name)
    assert found.keys() == BUILT
    for ref, number in found.values():
        assert ref.endswith(f":{name}")
        (image,) = inspect([ref])
        assert image["Id"] == number


def test_nothing_of_the_checkouts_folder_is_in_it(checkout: Checkout) -> None:
    record = records(checkout)[f"releases/{newest(checkout)}.json"]
    assert str(checkout.root) not in record
    assert str(checkout.root.parent) not in record


def test_an_image_says_which_commit_it_is_of(checkout: Checkout) -> None:
    (ref, _) = images(checkout, newest(checkout))["migrate"]
    labels = inspect([ref])[0]["Config"]["Labels"]
    head = checkout.run("git", "log", "-1", "--format=%H %cI").stdout.split()
    assert labels["org.opencontainers.image.revision"] == head[0]
    assert labels["org.opencontainers.image.created"][:10] == head[1][:10]


def test_a_build_of_the_same_makes_no_release_and_leaves_nothing_behind(checkout: Checkout) -> None:
    before = newest(checkout)
    assert build(checkout) == before
    assert untagged(checkout) == []


def test_the_same_commit_makes_the_same_images_elsewhere_with_nothing_kept(
    checkout: Checkout, make: MakeCheckout
) -> None:
    other = make("other")
    for path in other.root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    clone = 'umask 077; exec git clone -q "$0" "$1"'
    done = checkout.run("sh", "-c", clone, str(checkout.root), str(other.root))
    assert done.status == 0, done.text
    for path in other.root.glob("apps/api/**/*.py"):
        os.utime(path, (1_500_000_000, 1_500_000_000))
    first = newest(checkout)
    assert build(other, "--no-cache") == first, "another release was made"
    assert untagged(other) == []


def test_a_change_of_settings_alone_keeps_the_images(checkout: Checkout) -> None:
    before = newest(checkout)
    name = build(checkout, "-e", "LOG_LEVEL=debug")
    assert name != before
    assert images(checkout, name) == images(checkout, before)
    said = checkout.succeed("prod.releases", "--diff", before, name).stdout
    assert "migrate  environment LOG_LEVEL  info → debug" in said


def test_a_change_of_one_app_is_a_change_of_its_image_alone(checkout: Checkout) -> None:
    before = newest(checkout)
    with (checkout.root / "apps/api/api/seed.py").open("a", encoding="utf-8") as file:
        file.write("# Changed.\n")
    name = build(checkout)
    old, new = images(checkout, before), images(checkout, name)
    assert old["nginx"] == new["nginx"]
    assert new["migrate"][0].endswith(f":{name}")
    assert old["migrate"][1] != new["migrate"][1]
    said = checkout.succeed("prod.releases", "--diff", before, name).stdout
    assert "migrate  image" in said
    assert "nginx" not in said
    assert untagged(checkout) == []


def test_what_is_in_an_image_is_known(checkout: Checkout) -> None:
    found = json.loads(checkout.succeed("prod.sbom", "migrate").stdout)
    kinds = {each["purl"].partition("/")[0] for each in found["components"]}
    assert {"pkg:deb", "pkg:pypi"} <= kinds
    assert "fastapi" in {each["name"] for each in found["components"]}


def test_a_mount_of_the_checkout_is_refused(checkout: Checkout) -> None:
    before = newest(checkout)
    override = "services: {migrate: {volumes: [./apps:/mnt]}}\n"
    checkout.write("mounts.yml", override)
    files = "docker-compose.yml:docker-compose.prod.yml:mounts.yml"
    done = checkout.invoke("prod.build", "-e", f"COMPOSE_FILE={files}", timeout=360)
    (checkout.root / "mounts.yml").unlink()
    assert "service migrate mounts apps of the checkout" in one_message(done)
    assert newest(checkout) == before


@pytest.mark.skipif(not shutil.which("cosign"), reason="no cosign: scripts/host/debian-cosign.sh")
def test_a_release_is_signed_where_there_is_a_key(checkout: Checkout) -> None:
    made = checkout.run("cosign", "generate-key-pair", COSIGN_PASSWORD="")
    assert made.status == 0, made.text
    name = build(checkout, "-e", "RELEASE_SIGNING_KEY=cosign.key", COSIGN_PASSWORD="")
    assert records(checkout)[f"signatures/{name}.sig"]


def test_what_is_no_longer_kept_goes_with_its_images(checkout: Checkout) -> None:
    kept = newest(checkout)
    done = checkout.run(*checkout.user.python, "-c", PRUNE, RELEASES_KEPT="1")
    assert done.status == 0, done.text
    assert done.stdout.split(), done.text
    assert kept not in done.stdout
    assert {path for path, text in records(checkout).items() if text and kept not in path} == set()
    repository = f"{checkout.project('prod')}-api"
    tags = names("image", "ls", "--format", "{{.Tag}}", repository, filters=[])
    assert set(tags) <= {
        "local",
        *(ref.rpartition(":")[2] for ref, _ in images(checkout, kept).values()),
    }
