"""The file that tests wait for, which start while what they test is still getting ready."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gangway import project
from gangway.session import Session

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
    def of(cls, session: Session) -> Gate:
        """Return the gate of the session's environment."""
        return cls(project.state(session.root, f"{session.name}.gate"), session.native)

    def gated(self, once: list[str], service: str, words: list[str]) -> list[str]:
        """Return a call `once` of a service with words that begin with pytest's, made to wait.

        It is the same call where a container can't see the file: a mount's path has no colon.
        """
        if not self.native and ":" in str(self.folder):
            return [*once, service, *words]
        mount = [] if self.native else ["--volume", f"{self.folder}:{_INSIDE}:ro"]
        path = f"{self.folder if self.native else _INSIDE}/{_FILE}"
        return [*once, *mount, service, GATED, path, *words[len(_PYTEST) :]]

    def close(self) -> None:
        """Make those who come from now on wait."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        (self.folder / _FILE).unlink(missing_ok=True)

    def open(self) -> None:
        """Let them in."""
        (self.folder / _FILE).touch()
