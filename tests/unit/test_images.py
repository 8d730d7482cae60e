"""When images are out of date: by the files that they are made of, and their builds' settings."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gangway.base.errors import GangwayError
from gangway.engines.docker.client import Client
from gangway.engines.docker.images import build, due, one_for_each_image
from gangway.engines.interface import Due
from gangway.model.model import Model
from gangway.settings.environment import load

NEVER = "the images haven't been built here yet"
# A build says nothing and does nothing; an image is there where a file in images/ says when it was
# made, and how often.
DOCKER = r"""#!/bin/sh
case "$*" in
*build*) echo call >>"$HERE/calls" ;;
*inspect*)
    for name; do :; done
    for image in "$HERE"/images/*; do
        [ -f "$image" ] || continue
        printf '%s\t%s\t["%s:local"]\n' $(cat "$image") "${image##*/}"
    done
    echo
    ;;
esac
"""


class Checkout:
    """A checkout with an app whose sources are mounted in `dev`, and an engine that is a script."""

    def __init__(self, root: Path, environment: str) -> None:
        self.root, self.args = root, {"APP": "app", "LOCK": "app/uv.lock"}
        kind = {"dev": "development", "test": "test", "prod": "production"}[environment]
        self.write(f"env/{environment}.env", f"ENVIRONMENT={kind}\n")
        self.write(
            "Dockerfile",
            "FROM x\nARG APP\nCOPY ${APP}/*.lock /tmp/\nCOPY scripts/ /s/\nCOPY ${APP}/ /srv/app\n",
        )
        self.write(".dockerignore", "**/tests\n")
        for name in (
            "app/uv.lock",
            "app/main.py",
            "app/tests/test_it.py",
            "scripts/serve",
            "other",
        ):
            self.write(name, "x")
        self.write("bin/docker", DOCKER).chmod(0o755)
        self.write("images/x-api", "sha256:1 2026-01-01T00:00:00.123456789Z")
        shell = {"PATH": f"{root}/bin:{os.environ['PATH']}", "HERE": str(root)}
        self.client = Client(load(root, environment, shell=shell))

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    @property
    def model(self) -> Model:
        built: dict[str, Any] = {
            "image": "x-api:local",
            "build": {"context": str(self.root), "args": self.args, "target": ""},
        }
        mount = {"type": "bind", "source": str(self.root / "app"), "target": "/srv/app"}
        api = {**built, "volumes": [mount]} if self.client.environment.kind != "prod" else built
        return Model({"name": "x", "services": {"api": api, "migrate": api, "db": {"image": "y"}}})

    def build(self) -> None:
        assert build(self.client, self.model, ["build", "api"]) == 0

    def due(self, *services: str) -> Due:
        return due(self.client, self.model, services or ("api", "db"))


Make = Callable[[str], Checkout]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a checkout whose image has been built."""

    def made(environment: str) -> Checkout:
        checkout = Checkout(tmp_path, environment)
        checkout.build()
        return checkout

    return made


def changed(*names: str) -> str:
    return f"{', '.join(names)} changed after the images were built"


def test_images_that_were_never_built_are_missing(tmp_path: Path) -> None:
    assert Checkout(tmp_path, "dev").due() == Due(("api",), (), NEVER)


def test_services_that_are_not_built_here_wait_for_no_build(tmp_path: Path) -> None:
    assert Checkout(tmp_path, "dev").due("db") == Due()


@pytest.mark.parametrize("environment", ["dev", "test", "prod"])
def test_nothing_changed_is_up_to_date(make: Make, environment: str) -> None:
    checkout = make(environment)
    assert not checkout.due().outdated and not checkout.due().missing


@pytest.mark.parametrize("environment", ["dev", "prod"])
@pytest.mark.parametrize("name", ["app/uv.lock", "scripts/serve", "Dockerfile"])
def test_a_lock_a_script_or_the_dockerfile_that_changed_is_named(
    make: Make, environment: str, name: str
) -> None:
    checkout = make(environment)
    checkout.write(name, f"FROM x\nCOPY {name} /\n")
    due = checkout.due()
    assert due.outdated == ("api",)
    assert name in due.why


def test_mounted_sources_dont_count_in_development_and_do_in_production(make: Make) -> None:
    checkout = make("dev")
    checkout.write("app/main.py", "y")
    assert checkout.due().outdated == ()
    shutil.rmtree(checkout.root)
    checkout.root.mkdir()
    checkout = make("prod")
    checkout.write("app/main.py", "y")
    assert checkout.due() == Due((), ("api",), changed("app/main.py"))


@pytest.mark.parametrize("name", ["app/tests/test_it.py", "app/__pycache__/m.pyc", "other"])
def test_what_the_image_does_not_have_does_not_count(make: Make, name: str) -> None:
    checkout = make("prod")
    checkout.write(name, "y")
    assert checkout.due().outdated == ()


def test_a_file_that_came_or_went_counts(make: Make) -> None:
    checkout = make("prod")
    checkout.write("app/new.py", "y")
    (checkout.root / "scripts/serve").unlink()
    assert checkout.due().why == changed("app/new.py", "scripts/serve")


def test_a_time_that_goes_back_does_not_hide_another_content(make: Make) -> None:
    checkout = make("dev")
    path = checkout.write("app/uv.lock", "other")
    os.utime(path, (1000, 1000))
    assert checkout.due().why == changed("app/uv.lock")


def test_the_same_content_with_another_time_is_no_change(make: Make) -> None:
    checkout = make("dev")
    path = checkout.root / "app/uv.lock"
    os.utime(path, (time.time() + 9, time.time() + 9))
    assert checkout.due().outdated == ()


def test_another_argument_or_target_of_the_build_is_named(make: Make) -> None:
    checkout = make("dev")
    checkout.args["GROUPS"] = "dev"
    assert checkout.due().why == changed("the build's args GROUPS")


def test_several_changes_are_counted_and_the_first_named(make: Make) -> None:
    checkout = make("prod")
    for number in range(6):
        checkout.write(f"app/m{number}.py", "y")
    names = [f"app/m{number}.py" for number in range(4)]
    assert (
        checkout.due().why == f"{', '.join(names)} and 2 more changed after the images were built"
    )


def test_rules_of_the_model_count_below_a_mount_and_synced_files_do_not(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, "dev")
    rules = [
        {"action": "rebuild", "path": str(tmp_path / "app" / "conf")},
        {"action": "sync", "path": str(tmp_path / "scripts")},
    ]
    checkout.write("app/conf/a", "x")
    model = checkout.model
    for service in ("api", "migrate"):
        model.services[service]["develop"] = {"watch": rules}  # type: ignore[index]
    build(checkout.client, model, ["build"])
    checkout.write("scripts/serve", "y")
    assert due(checkout.client, model, ["api"]).outdated == ()
    checkout.write("app/conf/a", "y")
    assert due(checkout.client, model, ["api"]).why == changed("app/conf/a")


def test_scripts_and_what_is_copied_by_name_count_though_all_of_the_checkout_is_mounted(
    tmp_path: Path,
) -> None:
    checkout = Checkout(tmp_path, "dev")
    checkout.args["APP"] = "."
    mount = {"type": "bind", "source": str(tmp_path), "target": "/srv/app"}
    rule = {"action": "rebuild", "path": str(tmp_path / "scripts")}
    model = checkout.model
    for service in ("api", "migrate"):
        more = {"volumes": [mount], "develop": {"watch": [rule]}}
        model.services[service].update(more)  # type: ignore[attr-defined]
    checkout.write("x.lock", "x")
    checkout.write("scripts/deep/er", "x")
    build(checkout.client, model, ["build"])
    checkout.write("app/main.py", "y")
    assert due(checkout.client, model, ["api"]).outdated == ()
    checkout.write("x.lock", "y")
    checkout.write("scripts/deep/er", "y")
    assert due(checkout.client, model, ["api"]).why == changed("scripts/deep/er", "x.lock")


def test_an_app_s_locks_count_wherever_they_are(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, "dev")
    text = (
        "FROM x AS locks\nRUN --mount=type=bind,target=/context install-dependencies --files\n"
        "FROM x\nCOPY --from=locks /locks /locks\nCOPY app/ /srv/app/\n"
    )
    checkout.write("docker/app.Dockerfile", text)
    for name in ("uv.lock", "pyproject.toml", "unrelated.py"):
        checkout.write(name, "x")
    checkout.args["LOCK"] = "uv.lock"
    model = checkout.model
    for service in ("api", "migrate"):
        model.services[service]["build"]["dockerfile"] = "docker/app.Dockerfile"
    build(checkout.client, model, ["build"])
    checkout.write("unrelated.py", "y")
    assert due(checkout.client, model, ["api"]).outdated == ()
    checkout.write("uv.lock", "y")
    checkout.write("pyproject.toml", "y")
    assert due(checkout.client, model, ["api"]).why == changed("pyproject.toml", "uv.lock")


def test_production_has_no_image_until_the_engine_has_one(make: Make) -> None:
    checkout = make("prod")
    (checkout.root / "images" / "x-api").unlink()
    assert checkout.due() == Due(("api",), (), NEVER)


def test_an_image_that_was_built_by_other_means_is_judged_by_its_time(make: Make) -> None:
    checkout = make("prod")
    for path in checkout.root.rglob("*"):
        os.utime(path, (1000, 1000))
    checkout.write("images/x-api", "sha256:2 2026-02-01T00:00:00Z")
    assert checkout.due().outdated == ()
    path = checkout.root / "app" / "main.py"
    os.utime(path, (1900000000, 1900000000))
    assert checkout.due().why == changed("app/main.py")


def test_a_large_checkout_costs_little(make: Make) -> None:
    checkout = make("prod")
    for number in range(3000):
        (checkout.root / "app" / f"m{number}.py").touch()
    checkout.build()
    began = time.perf_counter()
    assert checkout.due().outdated == ()
    # 50 ms by itself; beside other tests, and with a shell for an engine, some more.
    assert time.perf_counter() - began < 0.5


def client(root: Path, *, says: str) -> Client:
    """Return the way to a docker whose first build fails with these words, and no other does."""
    docker = root / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(
        f'#!/bin/sh\n[ "$1" = compose ] || exit 0\necho call >> {root}/calls\n'
        f"[ $(wc -l < {root}/calls) -gt 1 ] || {{ echo '{says}'; exit 17; }}\n"
    )
    docker.chmod(0o755)
    (root / "env").mkdir()
    (root / "env" / "dev.env").write_text("ENVIRONMENT=development\n")
    shell = {"PATH": f"{root}/bin:/usr/bin:/bin"}
    return Client(load(root, "dev", shell=shell))


ALONE = Model({"name": "x", "services": {"api": {"build": {"context": "/nowhere"}}}})


@pytest.mark.parametrize(
    "lost",
    [
        "failed to solve: failed to get edge: inconsistent graph state",
        "failed to solve: failed to compute cache key: failed to get state for index 0 on [uv 3/3]",
    ],
)
def test_a_step_that_buildkit_has_lost_is_built_again(tmp_path: Path, lost: str) -> None:
    assert build(client(tmp_path, says=lost), ALONE, ["build", "api"]) == 0
    assert (tmp_path / "calls").read_text().count("call") == 2


def test_any_other_failure_of_a_build_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(GangwayError, match="exit code: 1"):
        build(client(tmp_path, says="failed to solve: exit code: 1"), ALONE, ["build"])
    assert (tmp_path / "calls").read_text().count("call") == 1
    assert not (tmp_path / ".gangway" / "dev.built").exists()


@pytest.mark.parametrize(
    ("version", "fix"),
    [
        ("3.13", "invoke images.offline"),
        ("3.14", "invoke images.offline --python 3.14"),
        ("3.12", "without a registry there is no Python 3.12; PYTHON_VERSION may be 3.11, 3.13"),
    ],
)
def test_a_base_that_is_only_made_here_is_asked_for_before_a_build(
    tmp_path: Path, version: str, fix: str
) -> None:
    checkout = Checkout(tmp_path, "dev")
    checkout.args |= {"PYTHON_IMAGE": f"gangway.local/python:{version}"}
    with pytest.raises(GangwayError) as caught:
        checkout.build()
    assert f"api is built from gangway.local/python:{version}" in str(caught.value)
    assert (caught.value.fix or "").startswith(fix)
    assert not (tmp_path / "calls").exists()


def test_node_s_image_is_needed_for_assets_alone(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, "dev")
    checkout.args |= {"NODE_IMAGE": "gangway.local/node:24", "ASSETS": ""}
    checkout.build()
    checkout.args |= {"ASSETS": "web"}
    with pytest.raises(GangwayError, match=r"built from gangway\.local/node:24"):
        checkout.build()


def test_an_image_that_two_services_share_is_built_once() -> None:
    shared = {"build": {}, "image": "x-api:local"}
    services = {"migrate": shared, "api": shared, "app": {"build": {}, "image": "x-app:local"}}
    made = Model({"name": "x", "services": services})
    assert one_for_each_image(made, ["api", "app", "migrate"]) == ["api", "app"]
    assert one_for_each_image(made, ["migrate"]) == ["migrate"]
