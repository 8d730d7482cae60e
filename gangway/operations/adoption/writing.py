"""Writing an adoption: all of it, or nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from gangway import __version__
from gangway.base.errors import GangwayError
from gangway.base.process import ends_as_interrupts, interrupts_later
from gangway.operations.adoption import starter
from gangway.operations.adoption.adopt import Plan
from gangway.operations.adoption.git import Repository
from gangway.operations.adoption.starter import File, Lock

MESSAGE = f"Run it with Gangway {__version__}"


class Outcome(NamedTuple):
    """What came of it: `uncommitted` says why nothing was committed, `unlocked` why no lock."""

    files: tuple[str, ...]
    uncommitted: str = ""
    unlocked: str = ""


def write(plan: Plan, *, commit: bool) -> Outcome:
    """Write the plan's files, the lock that is missing, and commit them as one.

    Raises GangwayError with the repository as it was where anything can't be written or locked.
    """
    repository, unlocked = plan.repository, ""
    with _all_or_nothing(repository) as made:
        lock = plan.found.facts.get("API_LOCK", "")
        if plan.found.lock_missing:
            unlocked = _make_lock(lock, made)
        for path, file in plan.files.items():
            made.add(path, file)
        ids = repository.ids(sorted(plan.locked))
        text = Lock(__version__, plan.names, ids).text()
        made.add(starter.LOCK, File(text))
        repository.stage(made.files)
    reason = repository.commit(MESSAGE) if commit else "--no-commit"
    return Outcome(tuple(made.files), reason, unlocked)


def create(root: Path, files: Mapping[str, File]) -> None:
    """Write files into a folder, which has none of them."""
    made = _Made(root)
    for path, file in files.items():
        made.add(path, file)


class _Made:
    """The files and folders that are made in a repository, by their paths, in order."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[str] = []
        self.folders: list[Path] = []

    def add(self, path: str, file: File) -> None:
        """Make a file; raises OSError, where there is one already, too."""
        target = self.root / path
        for folder in reversed(target.relative_to(self.root).parents[:-1]):
            if not (self.root / folder).is_dir():
                (self.root / folder).mkdir()
                self.folders.append(self.root / folder)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self.files.append(path)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(file.data)
            # Whatever the umask: containers read it as users of their own.
            os.fchmod(descriptor, 0o755 if file.executable else 0o644)

    def remove(self) -> None:
        """Remove all of it; a folder into which somebody else has put something stays."""
        for path in self.files:
            (self.root / path).unlink(missing_ok=True)
        for folder in reversed(self.folders):
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def _all_or_nothing(repository: Repository) -> Iterator[_Made]:
    """Yield what collects all that is made; where that fails, none of it is left."""
    made = _Made(repository.root)
    try:
        with ends_as_interrupts():
            yield made
    except BaseException as error:
        with interrupts_later():
            with suppress(GangwayError):
                repository.unstage(made.files)
            made.remove()
        if isinstance(error, OSError):
            raise GangwayError(
                f"cannot write it: {error.strerror}; nothing was changed",
                where=str(error.filename or repository.root),
            ) from None
        raise


def _make_lock(lock: str, made: _Made) -> str:
    """Have uv make the lock; return why it didn't, where there is no uv."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        return "there is no uv here"
    folder = (made.root / lock).parent
    done = subprocess.run(
        [uv, "lock", "--project", str(folder)],
        cwd=made.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if (made.root / lock).exists():
        made.files.append(lock)
    if done.returncode != 0:
        said = done.stderr.strip()
        raise GangwayError(
            f"uv can't lock the dependencies; nothing was changed:\n{said}",
            where=str(PurePosixPath(lock).with_name("pyproject.toml")),
            fix="mend it until uv lock passes, then adopt again",
        )
    return ""
