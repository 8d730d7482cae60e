"""Folders with so much in them that a build would wait for them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look.tree import MEGABYTE, Tree, parent, within

LIMIT = 50 * MEGABYTE
_FILES = 20_000
# What Gangway's own .dockerignore keeps out.
_OUT = re.compile(
    r"(^|/)(\.git|\.venv|venv|node_modules|__pycache__|\.next|\.gangway|\.\w+_cache|\.tox|\.nox)(/|$)"
)


def losses(tree: Tree, source: str) -> Iterator[Loss]:
    """Yield the folders of an app's source that have more than 50 MB."""
    totals: dict[str, int] = {}
    for path, size in tree.sizes.items():
        if within(source, path) and not _OUT.search(path):
            folder = parent(path)
            while True:
                totals[folder] = totals.get(folder, 0) + size
                if folder == source or not folder:
                    break
                folder = parent(folder)
    for entry in tree.ignored:
        folder = entry.rstrip("/")
        if entry.endswith("/") and within(source, folder) and not _OUT.search(entry):
            size = _measured(tree, folder)
            if size > LIMIT:
                totals[folder] = size
    heavy = {folder for folder, size in totals.items() if size > LIMIT and folder != source}
    for folder in sorted(heavy):
        # The deepest that still has nearly all of it.
        below = [other for other in heavy if other != folder and within(folder, other)]
        if any(totals[other] > 0.9 * totals[folder] for other in below):
            continue
        yield Loss(
            f"{totals[folder] // MEGABYTE} MB in {folder}",
            f"{folder}/",
            "each build would copy it into the image: name it in .dockerignore, or move it away",
        )


def _measured(tree: Tree, folder: str) -> int:
    """Return a folder's size in bytes, or as much as is needed to know that it is large."""
    total = count = 0
    for here, folders, names in os.walk(tree.root / folder):
        folders[:] = [name for name in folders if not _OUT.search(name)]
        for name in names:
            try:
                total += os.lstat(os.path.join(here, name)).st_size  # noqa: PTH118
            except OSError:
                continue
            count += 1
            if count > _FILES:
                return total
    return total
