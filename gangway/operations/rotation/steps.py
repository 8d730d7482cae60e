"""The steps of a rotation, each of which leaves apps that work, and from each of which it goes on.

`move` has every app start anew beside the old, as a deploy does, with what is in the secrets'
files by then, and returns when all have. What is under way is told by the files and the stores
themselves: NAME.next is the new secret before it is NAME.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gangway.base.errors import GangwayError
from gangway.operations.rollout.moving import Change, Move
from gangway.operations.rotation import verifier
from gangway.operations.rotation.stores import Postgres, Redis, digest
from gangway.settings import secrets
from gangway.settings.checkout import PREVIOUS

# PostgreSQL cuts longer names.
_LONGEST: Final = 63
_BETWEEN: Final = "_between"


@dataclass(frozen=True)
class Files:
    """The files of one secret: `path` is its own."""

    path: Path

    @property
    def value(self) -> str:
        """What is in it; raises GangwayError where it can't be read."""
        try:
            return self.path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise GangwayError(f"it can't be read: {error}", where=str(self.path)) from None

    @property
    def next(self) -> str:
        """The new one; empty where none is under way."""
        return Files(self._next).value if self._next.exists() else ""

    @property
    def has_previous(self) -> bool:
        """Whether another one is good as well."""
        return self._previous.exists()

    def prepare(self) -> None:
        """Make a new one, where none is under way."""
        if not self.next:
            secrets.put(self._next, secrets.fresh())

    def settle(self) -> None:
        """Have the new one be the secret."""
        self._next.replace(self.path)

    def put(self, value: str) -> None:
        """Have the secret be this; the new one stays."""
        secrets.put(self.path, value)

    def put_previous(self, value: str) -> None:
        """Have another one be good as well."""
        secrets.put(self._previous, value)

    def done(self) -> None:
        """Take note that nothing is under way."""
        self._next.unlink(missing_ok=True)

    def drop_previous(self) -> None:
        """Have no other be good."""
        self._previous.unlink(missing_ok=True)

    @property
    def _next(self) -> Path:
        return self.path.with_name(f"{self.path.name}.next")

    @property
    def _previous(self) -> Path:
        return self.path.with_name(self.path.name + PREVIOUS)


def database(store: Postgres, files: Files, move: Move) -> None:
    """Change the password of a database's user, by way of a second one who has the old password.

    Raises GangwayError where the file's isn't the database's, and what `move` does.
    """
    between = store.user[: _LONGEST - len(_BETWEEN)] + _BETWEEN
    kept = store.verifier()
    if files.next and verifier.fits(files.next, store.user, kept):
        # Ended right between these two steps.
        files.settle()
    elif files.next or not store.knows(between):
        if not verifier.fits(files.value, store.user, kept):
            raise GangwayError(
                f"the password in it isn't that of {store.user} in the database",
                where=str(files.path),
                fix="write the one that is: a data volume keeps the one that it was made with",
            )
        files.prepare()
        store.add(between, kept)
        # The second one has the old password: a deploy at any moment finds one that is good.
        to = Change("POSTGRES_USER", store.user, between)
        move(f"log in as {between} while the password changes", to)
        store.change(store.user, verifier.made(files.next))
        files.settle()
    back = Change("POSTGRES_USER", between, store.user)
    move(f"log in as {store.user} with the new password", back)
    store.drop(between)


def caches(stores: Sequence[Redis], files: Files, move: Move) -> None:
    """Change the password of every Redis that has it: they take both until all have the new one."""
    if not files.next and all(each.passwords() == {digest(files.value)} for each in stores):
        files.prepare()
    for each in stores:
        each.add(files.next or files.value)
    if files.next:
        files.settle()
    move("log in with the new password", None)
    for each in stores:
        each.only(files.value)


def key(files: Files, move: Move) -> None:
    """Change what apps sign with: all of them accept the new one before any signs with it.

    What was signed with the old one stays good, until the next rotation or `forget`.
    """
    files.prepare()
    if files.value != files.next:
        files.put_previous(files.next)
        move("accept the new one, too", None)
        files.put_previous(files.value)
        files.put(files.next)
    move("sign with the new one, and accept the old one", None)
    files.done()


def forget(files: Files, move: Move) -> None:
    """Have what was signed with the old one be good no more."""
    files.drop_previous()
    move("accept the new one alone", None)


def alone(files: Files, move: Move) -> None:
    """Change a secret of which apps know one at a time."""
    files.prepare()
    files.settle()
    move("get the new one", None)
