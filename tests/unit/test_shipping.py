"""What of a release travels: which layers, which records, and to which engine."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING, cast

import pytest

from gangway.base.errors import GangwayError
from gangway.engines.choice import engine_of
from gangway.engines.docker.client import Client
from gangway.engines.releases import Held
from gangway.model import layout
from gangway.model.model import Model
from gangway.model.release import Image, Release
from gangway.operations import project_name
from gangway.operations.inspect import addresses
from gangway.operations.project import Project
from gangway.operations.releases import parcel
from gangway.settings.environment import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gangway.engines.interface import Engine
    from tests.unit.conftest import Checkout

ONE, TWO, THREE = (f"sha256:{letter * 64}" for letter in "abc")
NAME = "20261126-120000-abcdef1"


def upon(below: str, layer: str) -> str:
    return f"sha256:{hashlib.sha256(f'{below} {layer}'.encode()).hexdigest()}"


def test_a_layer_is_known_by_what_is_below_it() -> None:
    two = upon(ONE, TWO)
    assert layout.chains([ONE, TWO, THREE]) == [ONE, two, upon(two, THREE)]
    assert layout.chains([]) == []


def test_what_the_other_side_has_need_not_travel() -> None:
    there = {ONE, upon(ONE, TWO)}
    assert layout.spared([[ONE, TWO, THREE]], there) == {ONE, TWO}


def test_a_layer_travels_where_it_is_missing_upon_any_other() -> None:
    there = {ONE, upon(ONE, TWO)}
    assert layout.spared([[ONE, TWO], [THREE, TWO]], there) == {ONE}


def test_files_of_an_image_are_named_after_their_content() -> None:
    digest = "0" * 64
    assert layout.digest_of(f"blobs/sha256/{digest}") == digest
    assert layout.digest_of(f"../blobs/sha256/{digest}") is None
    assert layout.digest_of("manifest.json") is None


@pytest.mark.parametrize(
    ("path", "belongs"),
    [
        (f"releases/{NAME}.json", True),
        (f"sboms/{NAME}/api.json", True),
        (f"releases/{NAME}1.json", False),
        (f"deploys/{NAME}.json", False),
        ("state.json", False),
        (f"/etc/{NAME}", False),
        (f"releases/{NAME}/../../state.json", False),
    ],
)
def test_a_release_takes_its_own_records_along(path: str, *, belongs: bool) -> None:
    assert parcel.belongs(path, NAME) == belongs


OWN = Image("x-api:1", "sha256:1", "linux/amd64", "sha256:d")
OTHER = Image("redis:9", "sha256:2", "linux/amd64")


def held(image: Image) -> dict[str, Held]:
    return {image.ref: Held(image, 1, (), ())}


def test_what_is_there_already_is_not_fetched() -> None:
    assert parcel.lacking([OWN, OTHER], held(OWN), [OWN]) == [OTHER]


def test_an_engine_may_number_an_image_as_registries_do() -> None:
    assert parcel.lacking([OWN], held(OWN._replace(id="sha256:d")), [OWN]) == []


def test_a_tag_of_ours_that_is_another_image_is_refused() -> None:
    with pytest.raises(GangwayError, match="it is another image"):
        parcel.lacking([OWN], held(OWN._replace(id="sha256:9")), [OWN])


def test_somebody_else_s_image_stays_as_it_is_there() -> None:
    assert parcel.lacking([OTHER], held(OTHER._replace(id="sha256:9")), [OWN]) == []


def engine(checkout: Checkout, shell: dict[str, str], place: str) -> Client:
    root = checkout({"env/prod.env": "ENVIRONMENT=production\nCOMPOSE_PROJECT_NAME=x\n"})
    there = {**shell, "DOCKER_HOST": place}
    found = engine_of(load(root, "prod", shell=there))
    assert isinstance(found, Client)
    return found


@pytest.mark.parametrize(
    ("place", "host"),
    [
        ("unix:///var/run/docker.sock", ""),
        ("tcp://10.0.0.7:2376", "10.0.0.7"),
        ("ssh://deploy@web1.example.org:2222", "web1.example.org"),
    ],
)
def test_an_engine_says_which_machine_it_is_on(
    checkout: Checkout, shell: dict[str, str], place: str, host: str
) -> None:
    found = engine(checkout, shell, place)
    assert (found.host, found.is_local) == (host, not host)


def test_what_runs_on_another_machine_has_its_address() -> None:
    port = {"target": 8080, "published": "80", "host_ip": "0.0.0.0", "protocol": "tcp"}
    model = Model({"name": "x", "services": {"nginx": {"ports": [port]}}})
    assert addresses(model, (), "web1") == [("nginx", "http://web1:80")]


def test_what_does_not_fit_is_refused_with_both_numbers() -> None:
    with pytest.raises(GangwayError, match=r"5 MB are free, and 2.0 GB are needed"):
        parcel.refuse_full(5_000_000, 2_000_000_000)


@pytest.mark.parametrize("room", [None, 2_000_000_000])
def test_what_fits_or_may_fit_is_not(room: int | None) -> None:
    parcel.refuse_full(room, 2_000_000_000)


def git(root: Path, *words: str) -> str:
    argv = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def clone(checkout: Checkout) -> Path:
    """A repository of one commit."""
    root = checkout({"env/prod.env": "ENVIRONMENT=production\nCOMPOSE_PROJECT_NAME=x\n"})
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "x")
    return root


class Elsewhere:
    """A production of which this is known: the revision that runs, and from which folder."""

    host = ""

    def __init__(self, revision: str) -> None:
        release = Release(
            "n", "x", "core", revision, dirty=False, made="", made_by="", images={}, model={}
        )
        self.files = {"releases/n.json": release.to_json(), "state.json": '{"current": "n"}'}
        self.production = self.records = self

    def read(self) -> Mapping[str, str]:
        return self.files

    def owners(self) -> str:
        return "/srv/another/clone"


@pytest.mark.parametrize("known", [True, False])
def test_a_production_is_one_for_all_clones_that_know_the_revision_that_runs(
    clone: Path, shell: dict[str, str], *, known: bool
) -> None:
    revision = git(clone, "rev-parse", "HEAD") if known else "0" * 40
    project = Project(load(clone, "prod", shell=shell), cast("Engine", Elsewhere(revision)))
    named = project_name.own(project).environment.get("COMPOSE_PROJECT_NAME")
    assert (named == "x") == known
