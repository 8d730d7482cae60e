"""Somebody's repository as git has it: contents as bytes, nothing committed."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from gangway.base import process
from gangway.base.errors import GangwayError

_FAILED: Final = 255
"""The status of `git merge-file` for what it can't merge; below are numbers of conflicts."""


class Merge(NamedTuple):
    """What three versions came to; where they contradict each other, marked as git marks it."""

    data: bytes
    conflicts: int


class Repository(NamedTuple):
    """A folder of a git repository; all paths are seen from it, with slashes.

    `prefix` is what git puts before them, seen from its own top: empty, or with a slash at the end.
    """

    root: Path
    prefix: str

    def changed(self) -> list[str]:
        """Return the tracked files, seen from the top, that differ from the last commit."""
        said = _git(
            self.root, "status", "--porcelain", "-z", "--untracked-files=no", "--no-renames"
        )
        return [entry[3:] for entry in said.decode("utf-8", "surrogateescape").split("\0") if entry]

    def uncommitted(self) -> list[str]:
        """Return all files that are in no commit as they are, those that git doesn't know included.

        Those that it is told to ignore are not among them.
        """
        said = _git(
            self.root, "status", "--porcelain", "-z", "--untracked-files=normal", "--no-renames"
        )
        return [entry[3:] for entry in said.decode("utf-8", "surrogateescape").split("\0") if entry]

    def ignored(self) -> list[str]:
        """Return what is there that git is told to ignore: folders that it ignores as a whole, too.

        A folder has a slash at its end.
        """
        words = ("--others", "--ignored", "--exclude-standard", "--directory", "-z")
        said = _git(self.root, "ls-files", *words).decode("utf-8", "surrogateescape")
        return sorted(filter(None, said.split("\0")))

    def ignoring(self, paths: Iterable[str]) -> dict[str, str]:
        """Return of these files those that git is told to ignore, and where: `.gitignore:12`."""
        data = "\0".join(paths).encode()
        words = ("check-ignore", "--verbose", "--no-index", "--stdin", "-z")
        done = _run(self.root, *words, data=data)
        parts = done.stdout.decode("utf-8", "surrogateescape").split("\0")
        found = zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=False)
        return {path: f"{file}:{line}" for file, line, pattern, path in found if pattern[:1] != "!"}

    def commit(self, message: str) -> str:
        """Commit what is staged, whatever the hooks say; return git's last word where it can't."""
        done = _run(self.root, "commit", "--quiet", "--no-verify", "--message", message)
        if done.returncode == 0:
            return ""
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        return said[-1] if said else f"status {done.returncode}"

    def unstage(self, paths: Iterable[str]) -> None:
        """Take files out of the next commit, none of which has been in one."""
        text = "\0".join(paths)
        _git(self.root, "update-index", "--force-remove", "-z", "--stdin", data=text.encode())

    def unmerged(self) -> list[str]:
        """Return the files with conflicts that the user hasn't said `git add` of."""
        said = _git(self.root, "ls-files", "-z", "--unmerged")
        entries = said.decode("utf-8", "surrogateescape").split("\0")
        return list(dict.fromkeys(entry.partition("\t")[2] for entry in entries if entry))

    def tracked(self) -> frozenset[str]:
        """Return the files that git has in this folder and below."""
        said = _git(self.root, "ls-files", "-z", "--cached")
        return frozenset(filter(None, said.decode("utf-8", "surrogateescape").split("\0")))

    def ids(self, paths: Sequence[str]) -> dict[str, str]:
        """Return the blob ids of files as they are now, and keep their contents in git."""
        text = "".join(f"{self.prefix}{path}\n" for path in paths)
        said = _git(self.root, "hash-object", "-w", "--stdin-paths", data=text.encode())
        return dict(zip(paths, said.decode().split(), strict=True))

    def blob_ids(self, contents: Mapping[str, bytes]) -> dict[str, str]:
        """Return the blob ids that contents have, or would have, by the same names."""
        kind = _git(self.root, "rev-parse", "--show-object-format").decode().strip()
        return {
            name: hashlib.new(kind, b"blob %d\0%s" % (len(data), data)).hexdigest()
            for name, data in contents.items()
        }

    def keep(self, data: bytes) -> str:
        """Keep a content in git; return its blob id."""
        return _git(self.root, "hash-object", "-w", "--stdin", data=data).decode().strip()

    def content(self, blob: str) -> bytes | None:
        """Return the content of a blob id, None where git doesn't have it."""
        done = _run(self.root, "cat-file", "blob", blob)
        return done.stdout if done.returncode == 0 else None

    def is_shallow(self) -> bool:
        """Say whether older commits were left out when it was cloned."""
        return _git(self.root, "rev-parse", "--is-shallow-repository").strip() == b"true"

    def merge(
        self, ours: bytes, base: bytes, theirs: bytes, *, labels: tuple[str, str, str]
    ) -> Merge | None:
        """Merge what both made of `base`; None for what can't be merged by lines.

        `labels` are those of ours, base and theirs in the markers; their style is the user's own
        (`merge.conflictStyle`).
        """
        with tempfile.TemporaryDirectory(prefix="gangway-") as folder:
            files = [Path(folder, name) for name in ("ours", "base", "theirs")]
            for file, data in zip(files, (ours, base, theirs), strict=True):
                file.write_bytes(data)
            names = (word for label in labels for word in ("-L", label))
            done = _run(self.root, "merge-file", "--stdout", "--quiet", *names, *map(str, files))
        if done.returncode >= _FAILED or done.returncode < 0:
            return None
        return Merge(done.stdout, done.returncode)

    def stage(self, paths: Iterable[str]) -> None:
        """Put files as they are now, or their absence, into the next commit."""
        text = "\0".join(paths)
        if text:
            words = ("--force", "--pathspec-from-file=-", "--pathspec-file-nul")
            _git(self.root, "--literal-pathspecs", "add", "--all", *words, data=text.encode())

    def stage_conflict(self, path: str, versions: tuple[str, str, str]) -> None:
        """Have git take a file as one with conflicts; `versions` are the ids of base, ours, theirs.

        It isn't committed before the user has said `git add`.
        """
        mode = _git(self.root, "ls-files", "--stage", "--", path).decode().partition(" ")[0]
        blobs = enumerate(versions, start=1)
        lines = [f"0 {'0' * len(versions[0])}", *(f"{mode} {blob} {n}" for n, blob in blobs)]
        text = "".join(f"{line}\t{self.prefix}{path}\0" for line in lines)
        _git(self.root, "update-index", "-z", "--index-info", data=text.encode())


def repository(root: Path) -> Repository:
    """Return the repository that a folder is in; raises GangwayError where there is none."""
    done = _run(root, "rev-parse", "--show-prefix")
    if done.returncode != 0:
        raise GangwayError(
            f"{root} is in no git repository",
            fix="git init && git add --all && git commit -m 'As it is'",
        )
    return Repository(root, done.stdout.decode().rstrip("\n"))


def initialised(folder: Path) -> Repository:
    """Make a repository of a folder, and return it."""
    _git(folder, "init", "--quiet")
    return Repository(folder, "")


def _git(folder: Path, *words: str, data: bytes = b"") -> bytes:
    done = _run(folder, *words, data=data)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise GangwayError(
            f"git failed: {said[-1] if said else f'status {done.returncode}'}",
            where=shlex.join(["git", *words]),
        )
    return done.stdout


def _run(folder: Path, *words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", *words], cwd=folder, input=data, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise process.missing("git") from None
