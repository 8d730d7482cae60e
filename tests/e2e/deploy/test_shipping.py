"""Releases on another machine, which sees nothing of the checkout: by a registry, or as a file."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.deploy.ssh import ssh_server
from tests.e2e.deploy.stack import Stack
from tests.e2e.support import Result, one_message, own, web
from tests.e2e.swarm import lab
from tests.e2e.swarm.machine import Machine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(420)]

REGISTRY = "127.0.0.1:5777/team"
PROGRAMS = ("docker-registry", "sshd", "ssh-keygen", "ssh", "unshare")


@dataclass(frozen=True)
class Other:
    """The other machine, and the production that is sent to it from this one.

    `variables` are what sends the tasks there. `folder` has the registry's data.
    """

    stack: Stack
    machine: Machine
    variables: Mapping[str, str]
    folder: Path

    def do(self, *words: str) -> str:
        """Run a task for the other machine, which must go well; return all that it said."""
        done = self._invoke(*words)
        assert done.status == 0, done.text
        return done.stdout + done.stderr

    def _invoke(self, *words: str) -> Result:
        variables: dict[str, Any] = dict(self.variables)
        return self.stack.checkout.invoke(*words, **variables)

    def refused(self, *words: str) -> str:
        """Return the one message of a task that changes nothing there."""
        before = self.state()
        message = one_message(self._invoke(*words))
        assert self.state() == before, message
        return message

    def state(self) -> list[str]:
        """Return what runs there, and the images that it has."""
        return [*self.machine.ask("ps", "-q").split(), *sorted(self.machine.images())]

    def serves(self) -> int:
        """Return the number of the release that answers there."""
        port = self.stack.url.rpartition(":")[2]
        with web(f"http://{self.machine.address}:{port}") as client:
            answer = client.get("/api/live/release").raise_for_status()
        return int(answer.json()["release"])

    def clear(self) -> None:
        """Take away all that an earlier run has left there."""
        for kind, listing, removal in (
            ("container", ("ps", "-aq"), ("rm", "--force", "--volumes")),
            ("volume", ("volume", "ls", "-q"), ("volume", "rm")),
            ("image", ("image", "ls", "-q"), ("image", "rm", "--force")),
        ):
            if found := set(self.machine.ask(*listing).split()):
                self.machine.docker(*removal, *found)
            assert not self.machine.ask(*listing), kind


@pytest.fixture(scope="module")
def other(production: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Other]:
    """Another machine, reached by ssh, with a registry that both see as their own."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if reason := lab.unusable() or (f"there is no {', no '.join(missing)}" if missing else ""):
        pytest.skip(reason)
    checkout = production.checkout
    folder = checkout.home / "shipping"
    folder.mkdir()
    with ExitStack() as stack:
        machine = stack.enter_context(lab.apart(hidden=[checkout.root.parent]))
        stack.enter_context(ssh_server(folder, machine))
        variables = {
            "RELEASE_REGISTRY": REGISTRY,
            "DOCKER_HOST": "ssh://other",
            "PATH": f"{folder}:{checkout.environment({})['PATH']}",
        }
        own(folder, checkout.user)
        registry = tmp_path_factory.mktemp("registry")
        found = Other(production, machine, variables, registry)
        found.clear()
        stack.enter_context(registry_at(registry))
        namespace = machine.switch.namespace(machine.plug)
        stack.enter_context(registry_at(registry, "nsenter", f"--net={namespace}"))
        yield found


@contextmanager
def registry_at(folder: Path, *before: str) -> Iterator[None]:
    """Have a registry whose data is in a folder; `before` are the words before its call."""
    file = folder / "registry.yml"
    file.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: '{REGISTRY.partition('/')[0]}'}}\n",
        encoding="utf-8",
    )
    argv = [*before, "docker-registry", "serve", str(file)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


class TestOther:
    def test_a_published_release_runs_on_a_machine_that_has_nothing(self, other: Other) -> None:
        (number,) = other.stack.serves()
        current = other.stack.current()
        done = other.stack.checkout.succeed("prod.publish", current, RELEASE_REGISTRY=REGISTRY)
        place = done.stdout.strip()
        assert place.startswith(f"{REGISTRY}/")
        other.do("prod.deploy", "--release", place.rpartition(":")[2])
        assert other.serves() == number
        assert other.stack.serves() == {number}

    def test_nothing_there_is_mounted_from_a_folder(self, other: Other) -> None:
        containers = other.machine.ask("ps", "-aq").split()
        form = "{{range .Mounts}}{{.Type}} {{end}}"
        mounts = other.machine.ask("inspect", "--format", form, *containers).split()
        assert "volume" in mounts
        assert "bind" not in mounts

    def test_of_a_bundle_only_what_is_new_travels(self, other: Other) -> None:
        checkout, file = other.stack.checkout, "new.tar.gz"
        (before,) = {other.serves()}
        first = checkout.succeed("prod.bundle", other.stack.current()).stdout.strip()
        number = other.stack.good()
        checkout.succeed("prod.build")
        since = first.removesuffix(".tar.gz").removeprefix(f"{checkout.project('prod')}-")
        checkout.succeed("prod.bundle", "--since", since, "--output", file)
        sizes = [(checkout.root / name).stat().st_size for name in (file, first)]
        assert sizes[0] < sizes[1] / 10
        other.do("prod.deploy", "--bundle", file)
        assert other.serves() == number
        other.do("prod.rollback")
        assert other.serves() == before

    def test_other_tasks_work_there(self, other: Other) -> None:
        assert other.do("prod.urls").count("http://127.0.0.1:") == 1
        assert "healthy" in other.do("prod.ps")
        assert "1234" in other.do("prod.psql", "--", "-Atc", "select 1233 + 1")
        other.do("prod.scale", "api=2")
        other.do("prod.restart", "api")
        other.do("prod.scale", "api=1")


class TestRefused:
    """What can't be deployed: one message, and nothing has changed."""

    def test_a_release_that_nobody_knows(self, other: Other) -> None:
        message = other.refused("prod.deploy", "--release", "20200101-000000-abcdefa")
        assert "the registry has none of that name" in message

    def test_a_registry_that_is_away(self, other: Other) -> None:
        words = ("prod.deploy", "--release", "20200101-000000-abcdefa")
        message = other.refused(*words, "-e", "RELEASE_REGISTRY=127.0.0.1:5779/team")
        assert "the registry doesn't answer" in message

    def test_a_bundle_that_was_cut_short(self, other: Other) -> None:
        root = other.stack.checkout.root
        (root / "cut.tar.gz").write_bytes((root / "new.tar.gz").read_bytes()[:-5000])
        assert "the bundle is damaged" in other.refused("prod.deploy", "--bundle", "cut.tar.gz")

    def test_a_release_for_another_kind_of_machine(self, other: Other) -> None:
        root = other.stack.checkout.root
        packed = root / "arm.tar.gz"
        with tarfile.open(root / "new.tar.gz") as old, tarfile.open(packed, "w:gz") as new:
            for member in old:
                data = old.extractfile(member)
                content = data.read() if data else b""
                if member.name.startswith("records/releases/"):
                    content = content.replace(b"linux/amd64", b"linux/s390x")
                member.size = len(content)
                new.addfile(member, io.BytesIO(content))
        message = other.refused("prod.deploy", "--bundle", packed.name)
        assert "is for linux/s390x, and the engine runs linux/" in message

    def test_a_bundle_that_is_none(self, other: Other) -> None:
        assert "this is no bundle" in other.refused("prod.deploy", "--bundle", "README.md")
        assert "can't be read" in other.refused("prod.deploy", "--bundle", "nowhere.tar.gz")

    def test_a_secret_that_is_missing(self, other: Other) -> None:
        with other.stack.without_secret("secret_key") as path:
            message = other.refused("prod.deploy", "--bundle", "new.tar.gz")
        assert path in message
        assert "prod.init" in message
