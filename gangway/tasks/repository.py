"""Of no environment: base images, and which stacks there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated as A

from gangway.tasks.options import Option


def offline(
    root: Path,
    force: A[bool, Option("build even what is up to date")] = False,
    also: A[str, Option("one that is only built on demand: langflow, postgres-17")] = "",
    python: A[str, Option("a Python besides, several with blanks between: 3.11")] = "",
) -> None:
    """Build the base images from Debian and PyPI packages, where no registry answers."""
    from gangway.operations import offline_images

    offline_images.build_here(root, force=force, also=also.split(), pythons=python.split())


def stacks(root: Path) -> None:
    """List the stacks: what each runs, where, and on which ports."""
    from gangway.operations import stacks

    print(stacks.show(stacks.load(root)))
