"""The PostgreSQL databases that a volume holds: where, and of which major."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

LEFT: Final = "moved-to"
"""The file in a database's folder that says which volume has its data now."""

# What the images of all majors have had for a place, seen from the volume.
_PLACES: Final = ". data */docker"
LOOK: Final = f"""
echo "${{PG_MAJOR:-0}} ${{PGDATA:-}}"
cd "$1" || exit
for place in {_PLACES}; do
    [ ! -s "$place/PG_VERSION" ] ||
        echo "$place $(cat "$place/PG_VERSION") $(cat "$place/{LEFT}" 2>/dev/null)"
done"""
"""A shell's words that look: `sh -c LOOK sh FOLDER`, in a container of the image that would run."""


class Database(NamedTuple):
    """One of a volume: its folder there (empty for the volume itself) and its major.

    `left_for` is the volume that it was copied to by an upgrade; empty where it is in use.
    """

    place: str
    major: int
    left_for: str = ""


class Kept(NamedTuple):
    """What a volume holds, and the `major` and `data` (an absolute path) of the image that looked.

    Both are empty where the image doesn't say.
    """

    major: int
    data: str
    databases: Sequence[Database]

    def at(self, place: str) -> Database | None:
        """Return the database in a folder of the volume."""
        return next((each for each in self.databases if each.place == place), None)


def seen(said: str) -> Kept:
    """Return what LOOK has written."""
    first, *lines = said.splitlines() or ["0"]
    major, _, data = first.partition(" ")
    found = []
    for line in lines:
        place, version, *left = line.split(" ")
        found.append(Database(place.removeprefix("."), _number(version), "".join(left)))
    return Kept(_number(major), data, found)


def _number(text: str) -> int:
    # Up to 9.6 a major had two numbers.
    head = text.partition(".")[0]
    return int(head) if head.isdecimal() else 0


def environment(service: Mapping[str, object]) -> Mapping[str, str | None]:
    """Return a service's variables."""
    found = service.get("environment")
    return found if isinstance(found, Mapping) else {}
