"""What is known of an environment's releases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gangway.base.errors import GangwayError
from gangway.engines.releases import Records
from gangway.model.release import STATE, Release

MOVED = "moved"
"""The key of the state for where a production has gone: `to` an engine, once it is `done`."""


def deploys_file(name: str) -> str:
    """Return the path of the list of a release's deploys."""
    return f"deploys/{name}.json"


@dataclass(frozen=True)
class Known:
    """All releases, the newest first, each one's deploys by its name, and what runs now.

    `state` has `current` and `before` (names of releases), `slots` (blue or green by service) and
    `under_way` (a deploy that has not come to its end). `undone` is the release whose deploy has
    just been taken back, for it was cut short.
    """

    releases: Sequence[Release]
    deploys: Mapping[str, Sequence[Mapping[str, Any]]]
    state: Mapping[str, Any]
    undone: str = ""

    @property
    def current(self) -> Release | None:
        """The release that runs; None before the first deploy."""
        return next((r for r in self.releases if r.name == self.state.get("current")), None)

    def find(self, text: str) -> Release:
        """Return the release whose name has `text` in it; raises GangwayError for none or several.

        A whole name means that one.
        """
        found = [release for release in self.releases if text in release.name]
        exact = [release for release in found if release.name == text]
        if len(exact or found) == 1:
            return (exact or found)[0]
        names = ", ".join(release.name for release in found or self.releases) or "none yet"
        if found:
            raise GangwayError(f"{text!r} may be any of {names}", fix="give more of its name")
        raise GangwayError(f"there is no release {text!r}", fix=f"there are: {names}")


def load(records: Records) -> Known:
    """Return what an engine's records say."""
    files = records.read()
    releases = [
        Release.from_json(text) for path, text in files.items() if path.startswith("releases/")
    ]
    deploys = {
        path.removeprefix("deploys/").removesuffix(".json"): json.loads(text)
        for path, text in files.items()
        if path.startswith("deploys/")
    }
    newest_first = sorted(releases, key=lambda release: release.name, reverse=True)
    return Known(newest_first, deploys, json.loads(files.get(STATE) or "{}"))
