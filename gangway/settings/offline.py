"""What there is for machines without a registry: the names of the base images made here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REGISTRY: Final = "gangway.local/"
"""What the names of all of them begin with: they are never to be had from elsewhere."""
DEFAULT_PYTHON: Final = "3.13"
PYTHONS: Final[Mapping[str, str]] = {
    "3.11": "bookworm",
    "3.13": "trixie",
    "3.14": "forky",
    "3.15": "forky",
}
"""Each Python that Debian has, with the release that has it."""
RELEASES: Final[Mapping[str, str]] = {"bookworm": "12", "trixie": "13", "forky": "14"}
"""The numbers of Debian's releases."""
UNRELEASED: Final = "forky"


def python_image(version: str) -> str:
    """Return the name of the image with a Python."""
    return f"{REGISTRY}python:{version}"


def how_to_have(image: str) -> str:
    """Return what to do where an image of ours isn't there."""
    name, _, version = image.removeprefix(REGISTRY).partition(":")
    if name != "python" or version == DEFAULT_PYTHON:
        return "invoke images.offline"
    if version in PYTHONS:
        return f"invoke images.offline --python {version}"
    return (
        f"without a registry there is no Python {version}; PYTHON_VERSION may be "
        f"{', '.join(PYTHONS)}, or use --images registry or mirror"
    )
