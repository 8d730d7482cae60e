"""The apps of a stack, as far as what they are built from goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path


def locks(root: Path, apps: Sequence[str]) -> Iterator[Path]:
    """Yield the lock files of the apps, those that are there, and of their tests."""
    top = root / "apps"
    yield from sorted(path for path in top.glob("requirements-test.txt"))
    for folder in (top / app for app in apps):
        for name in ("requirements.txt", "uv.lock", "poetry.lock"):
            if (folder / name).exists():
                yield folder / name
                break
