"""A release: the images and the model of one state of the sources, as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from gangway.base.errors import GangwayError

STATE = "state.json"
"""The record of what runs."""


def release_file(name: str) -> str:
    """Return the path of a release's record."""
    return f"releases/{name}.json"


class Image(NamedTuple):
    """An image of a release."""

    ref: str
    """its name and tag, the name of the release that first had this content"""
    id: str
    """the engine's number of it: `sha256:…`"""
    platform: str = ""
    """such as linux/amd64"""
    digest: str = ""
    """what a registry knows it by, once it has been pushed: `sha256:…`"""


@dataclass(frozen=True)
class Release:
    """What a deploy makes the running one, and a rollback again.

    `name` is `YYYYMMDD-HHMMSS-REVISION` (UTC). `dirty` says that the sources had changes that the
    revision doesn't have. `images` are those of the services that are built here. `model` is
    Compose's merged model with these images in place of the builds, configs with their content,
    and nothing that is in the checkout.
    """

    name: str
    project: str
    stack: str
    revision: str
    dirty: bool
    made: str
    made_by: str
    images: Mapping[str, Image]
    model: Mapping[str, Any] = field(repr=False)

    def to_json(self) -> str:
        """Return what `from_json` reads."""
        return json.dumps(
            {**asdict(self), "images": {name: i._asdict() for name, i in self.images.items()}},
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str) -> Release:
        """Read a release; raises GangwayError for what is none."""
        try:
            raw = json.loads(text)
            images = {name: Image(**image) for name, image in raw.pop("images").items()}
            return cls(**raw, images=images)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise GangwayError(
                f"the record of a release can't be read: {error}",
                fix="was it written by a newer Gangway? gangway update brings this one up to date",
            ) from None


def running(files: Mapping[str, str]) -> Release | None:
    """Return the release that runs, by the records; None before the first deploy.

    Raises GangwayError for a record that can't be read.
    """
    name = json.loads(files.get(STATE) or "{}").get("current")
    text = files.get(release_file(str(name)))
    return Release.from_json(text) if text else None
