"""What releases there are, and in what two of them differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.base.output import mask, say, table
from gangway.model.differences import Difference, differences
from gangway.model.release import Release
from gangway.operations import release_records as records
from gangway.operations.project import Project
from gangway.operations.release_records import Known
from gangway.settings import contract

_HEADERS: Final = ("RELEASE", "MADE", "BY", "REVISION", "RUNS", "DEPLOYED", "MIGRATION")
# As many deploys of a release as are listed.
_DEPLOYS: Final = 3
# Characters of a setting, and of why a deploy failed: the rest is in the record.
_LONGEST: Final = 60
# As many characters of an image's number, and of a revision's, tell it from others.
_SHORT_ID: Final = 12
_SHORT: Final = 7


def show(project: Project, names: Sequence[str], *, diff: bool) -> None:
    """List the releases; with `diff`, say in what the two that are named differ.

    Of two releases, one is enough to be named: the other is the one that runs.
    """
    known = records.load(project.engine.production.records)
    if diff:
        before, after = _two(known, names)
        is_secret = contract.load(project.root).is_secret
        lines = list(differing(known, before, after, is_secret))
        say(f"{before.name} → {after.name}")
        print("\n".join(lines) if lines else "nothing differs")
        return
    if names:
        raise GangwayError(
            f"it lists all releases: {' '.join(names)}",
            fix=f"invoke {project.name}.releases --diff A B says in what two of them differ",
        )
    if not known.releases:
        say(f"{project.name} has no release; invoke {project.name}.build makes one")
        return
    print(table(list(rows(known)), _HEADERS))


def rows(known: Known) -> Iterator[tuple[str, ...]]:
    """Yield the lines of the list: each release with its last deploy, earlier ones below it."""
    current, before = known.state.get("current"), known.state.get("before")
    for release in known.releases:
        runs = {current: "now", before: "before"}.get(release.name, "")
        deploys = list(reversed(known.deploys.get(release.name, ())))[:_DEPLOYS]
        first, *more = deploys or [{}]
        yield (
            release.name,
            release.made.replace("T", " ").removesuffix("Z"),
            release.made_by,
            _revision(release),
            runs,
            _deploy(first),
            migration(known, release),
        )
        for each in more:
            yield ("", "", "", "", "", _deploy(each))


def differing(
    known: Known, before: Release, after: Release, is_secret: Callable[[str], bool]
) -> Iterator[str]:
    """Yield lines on what differs: revision, images, settings, secrets by name, migration."""
    for what, old, new in (
        ("revision", _revision(before), _revision(after)),
        ("migration", migration(known, before), migration(known, after)),
    ):
        if old != new:
            yield f"{what}: {old or 'none'} → {new or 'none'}"
    rows = [*_images(before, after), *_settings(before, after, is_secret)]
    if rows:
        yield table(rows)


def migration(known: Known, release: Release) -> str:
    """Return where the database was after the release's last deploy; empty where unknown."""
    deploys = known.deploys.get(release.name, ())
    return " ".join(next((each["at"] for each in reversed(deploys) if each.get("at")), ()))


def _two(known: Known, names: Sequence[str]) -> tuple[Release, Release]:
    match [known.find(name) for name in names]:
        case [one] if known.current:
            return known.current, one
        case [one, other]:
            return one, other
    raise GangwayError(
        "--diff is of two releases, or of one and what runs",
        fix="there are: " + (", ".join(each.name for each in known.releases) or "none yet"),
    )


def _images(before: Release, after: Release) -> Iterator[tuple[str, ...]]:
    for service in dict.fromkeys([*before.images, *after.images]):
        old, new = before.images.get(service), after.images.get(service)
        ids = [
            image.id.removeprefix("sha256:")[:_SHORT_ID] if image else "-" for image in (old, new)
        ]
        if ids[0] != ids[1]:
            yield (service, "image", f"{ids[0]} → {ids[1]}")


def _settings(
    before: Release, after: Release, is_secret: Callable[[str], bool]
) -> Iterator[tuple[str, ...]]:
    built = {*before.images, *after.images}
    for each in differences(before.model, after.model):
        kind, name, *rest = (*each.path, "", "")
        if kind == "services" and rest[:1] == ["image"] and name in built:
            continue
        if kind == "secrets":
            yield ("secret", name, _change(each, lambda _: "there"))
        elif kind == "services":
            hidden = "environment" in rest and is_secret(each.path[-1])
            shown = (lambda value: mask(str(value))) if hidden else _value
            yield (name, " ".join(filter(None, rest)), _change(each, shown))
        else:
            what = " ".join(each.path[1:])
            yield (kind.removesuffix("s"), what, _change(each, _value))


def _change(each: Difference, shown: Callable[[Any], str]) -> str:
    old, new = ("-" if value is None else shown(value) for value in (each.before, each.after))
    # Two secrets look the same, and long texts begin alike.
    return f"{old} → {new}" if old != new else "another one"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "there"
    text = " ".join(map(_value, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _revision(release: Release) -> str:
    return release.revision[:_SHORT] + (" with changes" if release.dirty else "")


def _deploy(entry: Mapping[str, Any]) -> str:
    if not entry:
        return ""
    when = str(entry.get("when", "")).replace("T", " ").removesuffix("Z")
    outcome = str(entry.get("outcome", ""))
    how = entry.get("task") or "deploy"
    said = how if outcome == "well" else f"{how} failed: {outcome[:_LONGEST]}"
    return f"{when} {entry.get('by', '')} {said}"
