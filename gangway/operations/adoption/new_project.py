"""`gangway new`: a project of a few files, which is then adopted as any other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gangway.base.errors import GangwayError
from gangway.operations.adoption import git, writing
from gangway.operations.adoption.git import Repository
from gangway.operations.adoption.starter import File

MESSAGE: Final = "A FastAPI app"
_TEMPLATE: Final = Path(__file__).parent / "new"


def new(folder: Path, adopt: Callable[[Repository], None]) -> None:
    """Make a git repository with a small app in a folder, and have it adopted.

    Raises GangwayError for a folder with something in it; where anything fails, it is as it was.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise GangwayError(f"{folder} is there already, and not empty", fix="take another folder")
    was_there = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        repository = git.initialised(folder)
        files = _files()
        writing.create(folder, files)
        repository.stage(files)
        # Without a name to commit by, all of it is left for one commit of the user's.
        repository.commit(MESSAGE)
        adopt(repository)
    except BaseException as error:
        _clear(folder, keep=was_there)
        if isinstance(error, OSError):
            raise GangwayError(
                f"cannot write it: {error.strerror}", where=str(error.filename or folder)
            ) from None
        raise


def _files() -> dict[str, File]:
    found = {}
    for path in sorted(_TEMPLATE.rglob("*")):
        name = path.relative_to(_TEMPLATE).as_posix()
        if path.is_file() and path.suffix != ".pyc":
            found[name.replace("gitignore", ".gitignore")] = File(path.read_text(encoding="utf-8"))
    return found


def _clear(folder: Path, *, keep: bool) -> None:
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink()
