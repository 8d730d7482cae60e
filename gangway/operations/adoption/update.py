"""`gangway update`: a newer Gangway's files come into a repository that has an older one's.

What the older one wrote is in the repository's own git history, each file under the blob id that
the lock names, and so is what the user made of it. That is all that a three-way merge takes: `git
merge-file` does it here, without a network and with the markers that the user's git knows. Copier
would need a template repository that can be fetched, with a tag for each version, to render both
from; who adopts Gangway has a wheel. What the newer one brings to an edited file is in no commit,
so the lock keeps it for the next merge. Where a base is found nowhere (edited before the first
commit), the newer file is put beside the user's.

Nothing is committed, and nothing that isn't in the last commit is overwritten.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from gangway import __version__
from gangway.base import output
from gangway.base.errors import Finding, FindingsError, GangwayError
from gangway.base.process import interrupts_later
from gangway.operations.adoption import git, starter
from gangway.operations.adoption.git import Repository
from gangway.operations.adoption.replacing import replace
from gangway.operations.adoption.starter import File, Lock

Action = Literal[
    "replaced", "merged", "conflict", "added", "removed", "beside", "kept", "stays deleted",
]  # fmt: skip
_BESIDE: Final = ".new"
_CHANGES_OURS: Final = ("replaced", "merged", "conflict", "removed")
_LEFT_TO_DO: Final = ("conflict", "beside")


class Change(NamedTuple):
    """What becomes of one file, and why where that isn't plain.

    `data` is what is written, to the path itself or beside it, None where nothing is; `versions` of
    a conflict are the blob ids of base, ours and theirs.
    """

    path: str
    action: Action
    why: str = ""
    data: bytes | None = None
    executable: bool = False
    versions: tuple[str, str, str] | None = None

    @property
    def target(self) -> str:
        """The file that is written or removed."""
        return self.path + _BESIDE if self.action == "beside" else self.path


@dataclass(frozen=True)
class Update:
    """What there is to compare: the lock, the newer files with their ids, and the user's.

    `ours` has the blob id of each of the lock's and the newer files that is there, "" for what is
    no plain file.
    """

    repository: Repository
    lock: Lock
    newer: Mapping[str, File]
    version: str
    ids: Mapping[str, str]
    ours: Mapping[str, str]

    def changes(self) -> Iterator[Change]:
        """Yield what becomes of every file that doesn't stay as it is."""
        for path in sorted({*self.lock.files, *self.newer}):
            change = self._change(path)
            if change:
                yield change

    def texts(self, changes: Sequence[Change]) -> dict[str, str]:
        """Return the newer files that stand in no commit as they are, by id.

        The next update merges by them: of what the user has edited, git keeps the result alone.
        """
        as_it_is = {change.path for change in changes if change.action in ("added", "replaced")}
        found = {}
        for path, ours in self.ours.items():
            blob = self.ids.get(path)
            if blob and blob != ours and path not in as_it_is:
                found[blob] = self.newer[path].text
        return found

    def _change(self, path: str) -> Change | None:
        base, ours = self.lock.files.get(path), self.ours.get(path)
        theirs = self.newer.get(path)
        if theirs is None:
            return self._dropped(path, base, ours)
        if self.ids[path] in (base, ours):
            return None
        if ours is None and base is not None:
            return Change(path, "stays deleted", "you deleted it, and Gangway changed it")
        if ours == base:
            action: Action = "added" if ours is None else "replaced"
            return Change(path, action, "", theirs.data, theirs.executable)
        if base is None:
            return self._beside(path, theirs, "you have a file of that name")
        return self._merged(path, base, ours or "", theirs)

    def _dropped(self, path: str, base: str | None, ours: str | None) -> Change | None:
        if ours is None:
            return None
        if ours == base:
            return Change(path, "removed")
        return Change(path, "kept", f"you edited it, and Gangway {self.version} doesn't have it")

    def _merged(self, path: str, base: str, ours: str, theirs: File) -> Change:
        if not ours:
            return self._beside(path, theirs, "yours is no plain file")
        text = self.lock.texts.get(base)
        before = self.repository.content(base) if text is None else text.encode()
        mine = self.repository.content(ours) or b""
        if before is None:
            if self.repository.is_shallow():
                raise GangwayError(
                    f"{path} is edited, and this clone lacks the commit that it came with",
                    where=starter.LOCK,
                    fix="git fetch --unshallow, then gangway update again",
                )
            return self._beside(path, theirs, "the one that yours was made from is in no commit")
        labels = ("yours", f"Gangway {self.lock.version}", f"Gangway {self.version}")
        merge = self.repository.merge(mine, before, theirs.data, labels=labels)
        if merge is None:
            return self._beside(path, theirs, "it can't be merged by lines")
        if merge.conflicts:
            versions = (base, ours, self.ids[path])
            return Change(path, "conflict", "", merge.data, theirs.executable, versions)
        return Change(path, "merged", "", merge.data, theirs.executable)

    def _beside(self, path: str, theirs: File, why: str) -> Change:
        why = f"{why}: Gangway's is {path}{_BESIDE}"
        return Change(path, "beside", why, theirs.data, theirs.executable)


def top(folder: Path) -> Path:
    """Return the nearest folder, this one or one that it is in, with a lock; else this one."""
    whole = folder.resolve()
    return next((each for each in (whole, *whole.parents) if (each / starter.LOCK).exists()), whole)


def update(
    root: Path, *, dry_run: bool = False, top: Path | None = None, version: str = __version__
) -> int:
    """Bring a newer Gangway's files into the repository at `root`; return the exit status.

    It is 1 where something is left for the user to do. `top` and `version` are of the Gangway that
    it is brought to, the installed one unless given. Raises GangwayError, nothing changed, for a
    repository that can't be updated as it is.
    """
    repository = git.repository(root)
    lock = starter.read_lock(root)
    if _numbers(lock.version) > _numbers(version):
        raise GangwayError(
            f"these files are Gangway {lock.version}'s, and {version} is installed",
            where=starter.LOCK,
            fix=f"install Gangway {lock.version} or later",
        )
    found = compared(repository, lock, starter.files(lock.names, top), version)
    changes = list(found.changes())
    if not changes and lock.files == found.ids and lock.version == version:
        return _up_to_date(repository, version)
    _refuse(repository, changes)
    if not dry_run:
        _bring(found, changes)
    _report(found, changes, dry_run=dry_run)
    return int(any(change.action in _LEFT_TO_DO for change in changes))


def _bring(found: Update, changes: Sequence[Change]) -> None:
    root = found.repository.root
    try:
        with interrupts_later():
            for change in changes:
                _write(root, change)
            lock = Lock(found.version, found.lock.names, found.ids, found.texts(changes))
            starter.write_lock(root, lock)
            _stage(found, changes)
    except OSError as error:
        raise GangwayError(
            f"cannot write it: {error.strerror}",
            where=error.filename,
            fix="git reset --hard takes back what was done; then again",
        ) from None


def compared(repository: Repository, lock: Lock, newer: Mapping[str, File], version: str) -> Update:
    """Return what there is to compare in a repository with a lock and the newer files."""
    there = {
        path: status
        for path in {*lock.files, *newer}
        if (status := _status(repository.root, path)) is not None
    }
    plain = [path for path, status in there.items() if stat.S_ISREG(status.st_mode)]
    ours = dict.fromkeys(there, "") | repository.ids(plain)
    ids = repository.blob_ids({path: file.data for path, file in newer.items()})
    return Update(repository, lock, newer, version, ids, ours)


def _numbers(version: str) -> list[int]:
    """Return the release of a version as it is compared: `0.10.1rc1` is [0, 10, 1]."""
    released = re.match(r"[0-9.]*", version)
    return [int(number) for number in released[0].split(".") if number] if released else []


def _up_to_date(repository: Repository, version: str) -> int:
    unmerged = repository.unmerged()
    if unmerged:
        output.say(f"Gangway {version} is here, and these files still have conflicts:")
        _to_do(unmerged, [])
        return 1
    output.say(f"up to date: Gangway {version}")
    return 0


def _status(root: Path, path: str) -> os.stat_result | None:
    """Return what is at a path, None for nothing; what is behind a link isn't at the path."""
    if any(parent.is_symlink() for parent in _parents(root, path)):
        return None
    try:
        return (root / path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _parents(root: Path, path: str) -> list[Path]:
    """Return the folders between the root and a file in it, the innermost first."""
    return [root / parent for parent in Path(path).parents if parent.name]


def _refuse(repository: Repository, changes: Sequence[Change]) -> None:
    """Raise GangwayError where a change could cost the user something, or can't be made."""
    if changed := repository.changed():
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise GangwayError(
            f"there are changes that aren't committed, in {changed[0]}{more}",
            fix="git commit or git stash, so that git can take the update back; then again",
        )
    tracked = repository.tracked()
    findings = [
        finding for change in changes for finding in _faults(repository.root, tracked, change)
    ]
    if findings:
        raise FindingsError(findings, summary="nothing is updated")


def _faults(root: Path, tracked: Collection[str], change: Change) -> Iterator[Finding]:
    if change.action in _CHANGES_OURS and change.path not in tracked:
        what = "it is in no commit, and so an update could not be undone"
        yield Finding(what, change.path, f"git add --force {change.path}, and commit it")
    if change.action == "beside" and os.path.lexists(root / change.target):
        yield Finding("it is in the way", change.target, "take from it what you want; delete it")
    for parent in _parents(root, change.path) if change.action == "added" else ():
        if os.path.lexists(parent) and (parent.is_symlink() or not parent.is_dir()):
            where = parent.relative_to(root).as_posix()
            yield Finding(f"it is in the way of {change.path}", where, "give it another name")


def _write(root: Path, change: Change) -> None:
    path = root / change.target
    if change.action == "removed":
        path.unlink()
        for parent in _parents(root, change.path):
            with suppress(OSError):
                parent.rmdir()
    if change.data is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, change.data, executable=change.executable)


def _stage(found: Update, changes: Sequence[Change]) -> None:
    """Put what is done into the next commit; git lets no conflict into one."""
    done = [each.path for each in changes if each.data is not None or each.action == "removed"]
    apart = {each.path for each in changes if each.action in _LEFT_TO_DO}
    found.repository.stage([starter.LOCK, *(path for path in done if path not in apart)])
    for change in changes:
        if change.versions:
            base, ours, _ = change.versions
            kept = found.repository.keep(found.newer[change.path].data)
            text = found.lock.texts.get(base)
            before = base if text is None else found.repository.keep(text.encode())
            found.repository.stage_conflict(change.path, (before, ours, kept))


def _report(found: Update, changes: Sequence[Change], *, dry_run: bool) -> None:
    """Say what became of each file, and what is left to do."""
    print(f"Gangway {found.lock.version} → {found.version}")
    print(output.table([(each.action, each.path, each.why) for each in changes]) or "no changes")
    if dry_run:
        output.say("\nnothing was written (--dry-run)")
        return
    conflicts = [each.path for each in changes if each.action == "conflict"]
    beside = [each for each in changes if each.action == "beside"]
    output.say()
    _to_do(conflicts, beside)
    output.say(
        f"it is staged, and not committed: try it ({found.lock.names.invoke} test.run), then "
        f"git commit -m 'Gangway {found.version}'"
    )


def _to_do(conflicts: Sequence[str], beside: Sequence[Change]) -> None:
    """Say what is left to the user."""
    for path in conflicts:
        output.say(f"{path}: edit what is between <<<<<<< and >>>>>>>, then: git add {path}")
    for each in beside:
        output.say(
            f"{each.target}: take over what you want (git diff --no-index {each.path} "
            f"{each.target}), then: rm {each.target}"
        )
