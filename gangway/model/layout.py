"""Images as `docker save` writes them, an OCI layout in a tar: which layers, and of what."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

MANIFEST: Final = "manifest.json"
"""Which images there are: their names, their settings' files, their layers' files."""
LISTS: Final = (MANIFEST, "index.json", "oci-layout")
"""All that such a tar has besides."""
_BLOB: Final = re.compile(r"blobs/sha256/([0-9a-f]{64})")


def digest_of(path: str) -> str | None:
    """Return the SHA-256 that a file of the layout is named after; None for another file."""
    found = _BLOB.fullmatch(path)
    return found[1] if found else None


def blob(digest: str) -> str:
    """Return the path of the file with a digest, `sha256:…`."""
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def chains(layers: Iterable[str]) -> list[str]:
    """Return for each layer of an image the digest of it upon those below: OCI's chain IDs.

    An engine has a layer only upon others, and so it is named there.
    """
    found: list[str] = []
    for layer in layers:
        if found:
            upon = hashlib.sha256(f"{found[-1]} {layer}".encode()).hexdigest()
            found.append(f"sha256:{upon}")
        else:
            found.append(layer)
    return found


def spared(images: Iterable[Sequence[str]], there: Collection[str]) -> set[str]:
    """Return the layers that needn't travel, of images given by theirs.

    `there` are the chains that the other side has: a layer is spared where it has it each time.
    """
    needed: dict[str, bool] = {}
    for layers in images:
        for layer, chain in zip(layers, chains(layers), strict=True):
            needed[layer] = needed.get(layer, False) or chain not in there
    return {layer for layer, is_needed in needed.items() if not is_needed}


def files(entry: Mapping[str, Any]) -> list[str]:
    """Return the files of an image, by its entry in the manifest: its settings and its layers."""
    return [str(entry["Config"]), *map(str, entry["Layers"])]
