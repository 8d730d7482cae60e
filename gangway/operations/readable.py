"""Files of the checkout that containers read as other users than their owner: see `open_up`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gangway.base.output import say
from gangway.operations.project import Project

_FOR_ALL: Final = 0o444


def open_up(project: Project) -> None:
    """Give everybody the right to read what is no secret, where the checkout's umask gave none.

    That is the configs, which are part of the repository, and development's and test's secrets,
    which everybody knows. It says which; what belongs to somebody else is left as it is.
    """
    root, opened = project.root.resolve(), []
    for path in dict.fromkeys(_files(project)):
        try:
            mode = path.stat().st_mode & 0o777
            if path.is_file() and path.is_relative_to(root) and mode & _FOR_ALL != _FOR_ALL:
                path.chmod(mode | _FOR_ALL)
                opened.append(path.relative_to(root).as_posix())
        except OSError:
            continue
    if opened:
        say(f"made readable for the containers' users: {', '.join(opened)}")


def _files(project: Project) -> Iterator[Path]:
    root, env = project.root.resolve(), project.environment
    folder = (root / env.get("SECRETS_DIR")).resolve()
    if env.kind != "prod" and folder == root / "secrets" / env.kind:
        yield from sorted(folder.glob("*"))
    for config in (project.model.raw.get("configs") or {}).values():
        if file := config.get("file"):
            yield Path(file).resolve()
