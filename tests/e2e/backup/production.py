"""A production for tests of its data."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from benchmarks.bench import free_port
from tests.e2e.support import Checkout


@dataclass(frozen=True)
class Production:
    """A checkout's production, and where it answers."""

    checkout: Checkout
    url: str

    def listed(self) -> dict[str, Any]:
        """Return what prod.backups says to programs; its status says whether anything is wrong."""
        done = self.checkout.invoke("prod.backups", "--as-json")
        assert done.stdout, done.text
        found: dict[str, Any] = json.loads(done.stdout)
        assert done.status == bool(found["findings"]), done.text
        return found

    def habits(self) -> set[str]:
        """Return the names of the habits that the database has."""
        return set(self.checkout.sql("prod", "select name from habits").splitlines())


def started(checkout: Checkout, *profiles: str, settings: str = "") -> str:
    """Start a checkout's production with more profiles and settings, and return its URL."""
    env = (checkout.root / "env" / "prod.env").read_text(encoding="utf-8")
    env = re.sub(r"(?m)^COMPOSE_PROFILES=.*", lambda line: ",".join([line[0], *profiles]), env)
    # Two workers would look for free ports at the same time.
    env = re.sub(r"(?m)^(PUBLISHED_HTTP_PORT)=.*", rf"\1={free_port()}", env)
    checkout.write("env/prod.env", env + settings)
    checkout.succeed("prod.init")
    checkout.succeed("prod.up", timeout=300)
    return checkout.urls("prod")["nginx"]
