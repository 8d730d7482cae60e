"""A production that is deployed to again and again, and what is known of it from outside."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import changes
from benchmarks.steady import driver
from benchmarks.steady.client import Plan
from tests.e2e.support import Checkout, docker, eventually, names, one_message, own, web

#: The services that a deploy replaces, and those that keep data.
REPLACED, KEPT = ("api", "app", "scheduler", "nginx"), ("postgres", "redis")
Containers = Mapping[str, str]


@dataclass
class Stack:
    """The checkout and its production."""

    checkout: Checkout
    url: str = ""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def write(self, files: Mapping[str, str]) -> None:
        """Change sources of the api."""
        for path, text in files.items():
            self.checkout.write(path, text)

    def number(self) -> int:
        """Return a number that no release has."""
        return next(self._numbers)

    def good(self) -> int:
        """Change the sources to a release that has never been; return its number."""
        number = self.number()
        self.write(changes.good(number))
        return number

    @contextmanager
    def edited(self, files: Mapping[str, str]) -> Iterator[None]:
        """Change sources while the block lasts."""
        root = self.checkout.root
        before = {
            path: (root / path).read_text(encoding="utf-8") if (root / path).exists() else None
            for path in files
        }
        self.write(files)
        try:
            yield
        finally:
            for path, text in before.items():
                if text is None:
                    (root / path).unlink()
                else:
                    self.checkout.write(path, text)

    @contextmanager
    def without_secret(self, name: str) -> Iterator[str]:
        """Have a secret's file elsewhere while the block lasts; yield where it should be."""
        path = f"secrets/prod/{name}"
        aside = (self.checkout.root / path).rename(self.checkout.root / f"{path}.aside")
        try:
            yield path
        finally:
            aside.rename(self.checkout.root / path)

    def serves(self) -> set[int]:
        """Return the numbers of the releases that answer."""
        with web(self.url) as client:
            answers = [client.get("/api/live/release") for _ in range(12)]
        return {int(each.raise_for_status().json()["release"]) for each in answers}

    def running(self, *services: str) -> Containers:
        """Return when each running container of these services, or of all, was started."""
        found = self.checkout.ids("prod")
        return {key: at for key, at in found.items() if not services or key.split()[0] in services}

    def left_over(self) -> list[str]:
        """Return the containers that have ended and are no one-shot's."""
        return [
            f"{record['Name']}: {record['State']['Status']}"
            for record in self.checkout.containers("prod")
            if not record["State"]["Running"]
            and record["Config"]["Labels"]["com.docker.compose.service"] != "migrate"
        ]

    def whole(self, release: int, replicas: int = 1) -> None:
        """Expect one release to serve, with its number of replicas, and nothing beside it."""
        serves, left_over = self.serves(), self.left_over()
        assert serves == {release}, f"{serves} serve"
        count = {name: len(self.running(name)) for name in (*REPLACED, *KEPT)}
        assert count == {**dict.fromkeys((*REPLACED, *KEPT), 1), "api": replicas}, count
        assert not left_over, left_over

    @contextmanager
    def loaded(self, **options: Any) -> Iterator[driver.Load]:
        """Have it under load while the block lasts; afterwards nothing may be lost."""
        acks = self.checkout.home / f"acks-{self.number()}.jsonl"
        # As much as two such productions bear side by side on two slow CPUs, deploys and all.
        plan = Plan(
            self.url, rate=20, connections=8, streams=4, sockets=2, acks=str(acks), **options
        )
        with driver.running(plan) as load:
            eventually(lambda: acks.exists() and acks.stat().st_size, what="acknowledged writes")
            yield load
        lost = losses(load.stop())
        assert not lost, "\n".join(lost)
        found = self.writes(acks)
        assert found.acknowledged > 0, found
        assert not found.lost, found
        assert found.twice == 0, found

    def writes(self, acks: Path) -> driver.Writes:
        """Return what became of a load's writes, as the database has them."""
        lines = self.checkout.sql("prod", "select id || ' ' || name from habits").splitlines()
        rows = (line.split(" ", 1) for line in lines)
        return driver.writes(acks, ((int(key), name) for key, name in rows))

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Expect what runs to be the same after the block, with nothing beside it."""
        before, serves, images = self.running(), self.serves(), self.tags()
        yield
        after, left_over, now = self.running(), self.left_over(), self.serves()
        assert now == serves, f"{now} serve, and {serves} did"
        assert after == before, f"{before} became {after}"
        assert not left_over, left_over
        assert images <= self.tags(), images - self.tags()

    def refused(self, *words: str, **options: Any) -> str:
        """Return the one message with which a task ends that leaves what runs as it is."""
        with self.untouched():
            return one_message(self.checkout.invoke(*words, **options))

    def tags(self) -> set[str]:
        """Return the images that the project has made."""
        reference = f"reference={self.checkout.project('prod')}-*"
        form = "{{.Repository}}:{{.Tag}}"
        found = set(names("image", "ls", "--format", form, filters=[reference]))
        # The name that a build gives, before a release does.
        return {tag for tag in found if not tag.endswith(":local")}

    def current(self) -> str:
        """Return the name of the release that runs."""
        (line,) = [
            line
            for line in self.checkout.succeed("prod.releases").stdout.splitlines()
            if "now" in line.split()
        ]
        return line.split()[0]


def prepared(checkout: Checkout) -> Stack:
    """Give the api what lasts, and start the first release."""
    stack = Stack(checkout)
    main = (checkout.root / changes.MAIN).read_text(encoding="utf-8")
    stack.write(changes.base(main))
    if checkout.user.identity:
        own(checkout.root, checkout.user)
    checkout.succeed("prod.init")
    checkout.succeed("prod.up", "--ports", "auto", timeout=300)
    stack.url = checkout.urls("prod")["nginx"]
    return stack


def losses(report: Mapping[str, Any]) -> list[str]:
    """Return everything in a load's report that a client would have noticed."""
    found = []
    for phase in report["phases"]:
        name = phase["name"]
        if phase["failed"]:
            found.append(f"{name}: {phase['failed_by_kind']} {phase['examples'][:3]}")
        for what in ("streams", "sockets"):
            bad = {key: count for key, count in phase[what].items() if count and is_loss(key)}
            if bad:
                found.append(f"{name}: {what} {bad}")
    if report["unsent"]:
        found.append(f"{report['unsent']} unsent")
    return found


def is_loss(name: str) -> bool:
    """Say whether a count of a stream or a WebSocket is one that should be none."""
    return name in ("lost", "doubled") or name.startswith(("cut", "failed", "ended:"))


def images_gone(stack: Stack, service: str) -> str:
    """Remove the newest image of a service's that doesn't run; return its name."""
    run = {record["Config"]["Image"] for record in stack.checkout.containers("prod", service)}
    others = (tag for tag in stack.tags() - run if f"-{service}:" in tag)
    # A release's tag is a date; `local` is none.
    gone = max(tag for tag in others if not tag.endswith(":local"))
    assert docker("image", "rm", "--force", gone).status == 0
    return gone
