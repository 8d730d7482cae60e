"""PostgreSQL's majors: what a volume holds, what is refused, and what an upgrade goes to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from gangway.base.errors import GangwayError
from gangway.engines.databases import LEFT, LOOK, Database, Kept, seen
from gangway.engines.interface import Engine
from gangway.engines.native.engine import NativeEngine
from gangway.model.model import Model
from gangway.model.postgres_major import major_of, of_major
from gangway.operations import majors
from gangway.operations.project import Project
from gangway.operations.upgrade import plan
from gangway.settings.checkout import Checkout
from gangway.settings.environment import load
from tests.unit.conftest import ROOT

TARGET = "/var/lib/postgresql"


@pytest.mark.parametrize(
    ("image", "major", "of_17"),
    [
        ("postgres:18.1-trixie", 18, "postgres:17-trixie"),
        ("gangway.local/postgres:18", 18, "gangway.local/postgres:17"),
        ("mirror:5000/library/postgres:18.1", 18, "mirror:5000/library/postgres:17"),
        ("pgvector/pgvector:pg18", 18, "pgvector/pgvector:pg17"),
        ("postgis/postgis:18-3.6", 18, "postgis/postgis:17-3.6"),
        ("postgres:18.1@sha256:0123", 18, "postgres:17"),
        ("postgres:latest", 0, ""),
        ("mirror:5000/postgres", 0, ""),
        ("postgres", 0, ""),
    ],
)
def test_an_images_tag_names_its_major(image: str, major: int, of_17: str) -> None:
    assert (major_of(image), of_major(image, 17)) == (major, of_17)


def database(volume: Path, place: str, version: str, left: str = "") -> None:
    """Have a folder look like a database's."""
    folder = volume / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "PG_VERSION").write_text(f"{version}\n")
    (folder / LEFT).write_text(f"{left}\n" if left else "")


def looked(volume: Path, major: int, data: str) -> Kept:
    """Look into a folder as a container of an image would."""
    done = subprocess.run(
        ["sh", "-c", LOOK, "sh", volume],
        env={"PATH": os.environ["PATH"], "PG_MAJOR": str(major), "PGDATA": data},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return seen(done.stdout)


def test_a_volumes_databases_are_found_wherever_a_major_has_them(tmp_path: Path) -> None:
    data = f"{TARGET}/18/docker"
    assert looked(tmp_path, 18, data) == Kept(18, data, [])
    database(tmp_path, "", "9.6")
    database(tmp_path, "data", "17", left="postgres-data-18")
    database(tmp_path, "18/docker", "18")
    (tmp_path / "19" / "docker").mkdir(parents=True)
    assert looked(tmp_path, 18, data) == Kept(
        18,
        data,
        [Database("", 9), Database("data", 17, "postgres-data-18"), Database("18/docker", 18)],
    )


@dataclass
class Volumes:
    """An engine with nothing but volumes, which are folders, and images that look into them."""

    model: Model
    folder: Path
    majors: Mapping[str, int]
    looks: list[str] = field(default_factory=list)

    def kept_databases(self, volume: str, service: Mapping[str, Any]) -> Kept | None:
        self.looks.append(volume)
        there = self.folder / volume
        image = str(service["image"])
        major = self.majors.get(image, major_of(image))
        data = "data" if major < 18 else f"{major}/docker"
        return looked(there, major, f"{TARGET}/{data}") if there.exists() else None


@dataclass
class Here:
    """A checkout with PostgreSQL on a volume."""

    root: Path
    majors: dict[str, int] = field(default_factory=dict)

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    def project(self, image: str = "postgres:18.1-trixie", **variables: str) -> Project:
        """Return the project as it is with this image."""
        env = self.root / "env"
        env.mkdir(exist_ok=True)
        (env / "dev.env").write_text(
            "ENVIRONMENT=development\nCOMPOSE_PROJECT_NAME=x\n"
            f"COMPOSE_FILE=compose.yml\nPOSTGRES_IMAGE={image}\n"
        )
        shell = {"PATH": os.environ["PATH"]}
        loaded = load(self.root, "dev", shell=shell, overrides=variables)
        volume = loaded.get("POSTGRES_VOLUME") or "postgres-data"
        data = loaded.get("POSTGRES_DATA")
        service = {
            "image": loaded.get("POSTGRES_IMAGE"),
            "environment": {"PGDATA": data} if data else {},
            "volumes": [{"type": "volume", "source": "postgres-data", "target": TARGET}],
        }
        raw = {
            "name": "x",
            "services": {"postgres": service, "redis": {"image": "redis"}},
            "volumes": {"postgres-data": {"name": f"x_{volume}"}},
        }
        engine = Volumes(Model(raw), self.volumes, self.majors)
        return Project(loaded, cast(Engine, engine))


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def refused(project: Project) -> str:
    with pytest.raises(GangwayError) as error:
        majors.check(project, ())
    return str(error.value)


def looks(project: Project) -> list[str]:
    return cast(Volumes, project.engine).looks


def test_a_new_volume_an_empty_one_and_one_of_the_same_major_are_fine(here: Here) -> None:
    majors.check(here.project(), ())
    (here.volumes / "x_postgres-data").mkdir(parents=True)
    majors.check(here.project(), ())
    database(here.volumes / "x_postgres-data", "18/docker", "18")
    majors.check(here.project(), ())


def test_data_of_an_older_major_is_refused_with_the_way_to_the_newer(here: Here) -> None:
    database(here.volumes / "x_postgres-data", "18/docker", "18")
    message = refused(here.project("postgres:19.1"))
    assert "env/dev.env:4: the data in x_postgres-data is of PostgreSQL 18" in message
    assert "and postgres:19.1 is 19" in message
    assert "fix: invoke dev.upgrade-postgres takes it to 19 and keeps the old" in message


def test_data_of_a_newer_major_is_refused_and_no_way_back_is_promised(here: Here) -> None:
    database(here.volumes / "x_postgres-data", "18/docker", "18")
    message = refused(here.project("postgres:17"))
    assert "is of PostgreSQL 18, and postgres:17 is only 17" in message
    assert "name an image of 18 in POSTGRES_IMAGE" in message


def test_an_image_that_says_no_number_says_itself_what_it_is(here: Here) -> None:
    database(here.volumes / "x_postgres-data", "18/docker", "18")
    here.majors["postgres:latest"] = 19
    assert "and postgres:latest is 19" in refused(here.project("postgres:latest"))
    here.majors["postgres:latest"] = 18
    majors.check(here.project("postgres:latest"), ())


def test_data_that_the_image_would_begin_anew_beside_is_refused(here: Here) -> None:
    database(here.volumes / "x_postgres-data", "data", "18")
    message = refused(here.project())
    assert f"is at {TARGET}/data, and postgres:18.1-trixie would begin anew" in message
    assert (
        f"at {TARGET}/18/docker" in message and f"fix: set POSTGRES_DATA={TARGET}/data" in message
    )
    majors.check(here.project(POSTGRES_DATA=f"{TARGET}/data"), ())


def test_data_that_was_left_is_not_gone_on_with(here: Here) -> None:
    database(here.volumes / "x_postgres-data", "17/docker", "17", left="postgres-data-18")
    place = f"{TARGET}/17/docker"
    message = refused(here.project("postgres:17", POSTGRES_DATA=place))
    assert "has gone to PostgreSQL postgres-data-18: what is in x_postgres-data is old" in message
    assert "invoke dev.upgrade-postgres --back" in message


def test_what_was_started_before_is_not_looked_at_again(here: Here) -> None:
    database(here.volumes / "x_postgres-data", "18/docker", "18")
    first = here.project()
    majors.check(first, ())
    majors.keep(first, ())
    assert looks(first) == ["x_postgres-data"]
    second = here.project()
    majors.check(second, ())
    assert looks(second) == []
    other = here.project("postgres:18.2")
    majors.check(other, ())
    assert looks(other) == ["x_postgres-data"]
    majors.drop(second)
    third = here.project()
    majors.check(third, ())
    assert looks(third) == ["x_postgres-data"]


def test_a_start_without_postgresql_is_not_kept_from_it(here: Here) -> None:
    database(here.volumes / "x_postgres-data", "17/docker", "17")
    project = here.project()
    majors.check(project, ["redis"])
    assert looks(project) == []


def test_natively_it_is_the_wheels_major_that_counts(tmp_path: Path) -> None:
    root = tmp_path
    (root / "env").mkdir()
    (root / "env" / "dev.env").write_text("ENVIRONMENT=development\nCOMPOSE_FILE=compose.yml\n")
    shell = {"PATH": os.environ["PATH"]}
    engine = NativeEngine(load(root, "dev", shell=shell))
    service = {"image": "postgres:17", "environment": {"PGDATA": "volumes/db"}}
    assert engine.kept_databases("x", service) is None
    database(root / "volumes" / "db", "", "17")
    assert engine.kept_databases("x", service) == Kept(18, "", [Database("", 17)])
    assert majors.inside("volumes/db", TARGET) == ""


# ---- the upgrade


def test_an_upgrade_goes_to_the_image_of_the_settings(here: Here) -> None:
    database(here.volumes / "x_postgres-data", "17/docker", "17")
    found = plan.planned(here.project(), 0)
    assert (found.before, found.after) == (17, 18)
    assert found.old == {
        "POSTGRES_IMAGE": "postgres:17-trixie",
        "POSTGRES_VOLUME": "postgres-data",
        "POSTGRES_DATA": f"{TARGET}/17/docker",
    }
    assert found.new == {
        "POSTGRES_IMAGE": "postgres:18.1-trixie",
        "POSTGRES_VOLUME": "postgres-data-18",
        "POSTGRES_DATA": "",
    }


def test_a_place_that_the_files_still_say_is_not_the_new_ones(here: Here) -> None:
    database(here.volumes / "x_postgres-data", "17/docker", "17")
    found = plan.planned(here.project(POSTGRES_DATA=f"{TARGET}/17/docker"), 0)
    assert found.old["POSTGRES_DATA"] == f"{TARGET}/17/docker"
    assert found.new["POSTGRES_DATA"] == f"{TARGET}/18/docker"


def test_it_comes_from_the_image_that_was_used_last(here: Here) -> None:
    database(here.volumes / "x_postgres-data", "17/docker", "17")
    majors.keep(here.project("somewhere/ours:17.5", POSTGRES_DATA=f"{TARGET}/17/docker"), ())
    assert plan.planned(here.project(), 0).old["POSTGRES_IMAGE"] == "somewhere/ours:17.5"


def test_a_major_that_is_asked_for_is_the_same_image_of_another_number(here: Here) -> None:
    database(here.volumes / "x_postgres-data", "18/docker", "18")
    found = plan.planned(here.project(), 19)
    assert found.old["POSTGRES_DATA"] == ""
    assert found.new["POSTGRES_IMAGE"] == "postgres:19-trixie"
    here.majors["ours"] = 18
    with pytest.raises(GangwayError, match="no number in its tag"):
        plan.planned(here.project("ours"), 19)


def test_a_volume_that_an_earlier_try_has_left_is_not_written_to(here: Here) -> None:
    database(here.volumes / "x_postgres-data", "17/docker", "17")
    database(here.volumes / "x_postgres-data-18", "18/docker", "18")
    assert plan.planned(here.project(), 0).new["POSTGRES_VOLUME"] == "postgres-data-18-2"


@pytest.mark.parametrize(
    ("version", "left", "to", "said"),
    [
        ("18", "", 0, "is of PostgreSQL 18, and postgres:18.1-trixie is no newer"),
        ("18", "", 17, "is of PostgreSQL 18, and postgres:17-trixie is no newer"),
        ("17", "postgres-data-18", 0, "has gone to postgres-data-18 by an upgrade already"),
        ("", "", 0, "there is no database in x_postgres-data"),
    ],
)
def test_what_is_no_upgrade_is_refused(
    here: Here, version: str, left: str, to: int, said: str
) -> None:
    if version:
        database(here.volumes / "x_postgres-data", "18/docker", version, left)
    with pytest.raises(GangwayError, match=said) as error:
        plan.planned(here.project(), to)
    assert error.value.fix


def test_this_checkout_keeps_only_what_the_files_do_not_say(here: Here) -> None:
    project = here.project("postgres:18")
    new = {"POSTGRES_IMAGE": "postgres:18", "POSTGRES_VOLUME": "b", "POSTGRES_DATA": ""}
    plan.use(project, new)
    assert Checkout(here.root).read("dev") == {"POSTGRES_VOLUME": "b"}
    old = {"POSTGRES_IMAGE": "postgres:17", "POSTGRES_VOLUME": "postgres-data", "POSTGRES_DATA": ""}
    plan.use(project, old)
    assert Checkout(here.root).read("dev") == {"POSTGRES_IMAGE": "postgres:17"}


def test_what_back_goes_back_from_is_kept_until_it_has(here: Here) -> None:
    project = here.project()
    assert plan.noted(project) is None
    made = plan.Made({"POSTGRES_IMAGE": "a"}, {"POSTGRES_IMAGE": "b"}, "2026-01-01 00:00:00")
    plan.note(project, made)
    assert plan.noted(project) == made
    plan.note(project, None)
    assert plan.noted(project) is None


def test_the_offline_image_of_17_is_only_built_on_demand() -> None:
    from gangway.operations import offline_images

    image = offline_images.ON_DEMAND["postgres-17"]
    assert image.name not in {each.name for each in offline_images.of(ROOT)}
    images = (*offline_images.IMAGES, image)
    assert offline_images.input_hashes(ROOT, images)[image.name]
