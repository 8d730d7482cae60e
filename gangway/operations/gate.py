"""The file that tests wait for, which start while what they test is still getting ready."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gangway.operations.project import Project
from gangway.settings import checkout

GATED: Final = "gated-pytest"
"""The program that waits: scripts/gated-pytest."""

_INSIDE: Final = "/run/gate"
_FILE: Final = "open"
_PYTEST: Final = ["python", "-m", "pytest"]


@dataclass(frozen=True)
class Gate:
    """The gate of an environment's tests; `folder` has nothing but its file."""

    folder: Path
    native: bool

    @classmethod
    def of(cls, project: Project) -> Gate:
        """Return the gate of the project's environment."""
        return cls(checkout.state(project.root, f"{project.name}.gate"), project.native)

    def gated(self, words: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the flags of `run` and the words that make a call of pytest wait.

        They are the same call where a container can't see the file: a mount's path has no colon.
        """
        rest = list(words[len(_PYTEST) :])
        if self.native:
            return [], [GATED, f"{self.folder}/{_FILE}", *rest]
        if ":" in str(self.folder):
            return [], list(words)
        return ["--volume", f"{self.folder}:{_INSIDE}:ro"], [GATED, f"{_INSIDE}/{_FILE}", *rest]

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Make those who come in the block wait until `open`; afterwards nobody has to."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        (self.folder / _FILE).unlink(missing_ok=True)
        try:
            yield
        finally:
            self.open()

    def open(self) -> None:
        """Let them in."""
        (self.folder / _FILE).touch()
