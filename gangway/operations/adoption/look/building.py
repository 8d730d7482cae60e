"""What an app's image is made of: Python, libraries, packages, the build step, assets."""

from __future__ import annotations

import re

from gangway.operations.adoption.look import pythons
from gangway.operations.adoption.look.app import App
from gangway.operations.adoption.look.django import built_on
from gangway.operations.adoption.look.gathered import Gathered
from gangway.operations.adoption.look.libraries import needs
from gangway.operations.adoption.look.static import build_environment, static_files
from gangway.operations.adoption.look.tree import join, parent, seen_from
from gangway.operations.adoption.look.wishes import Wishes


def libraries(app: App) -> Gathered:
    """Return which Python and which libraries the app has, and what these need."""
    found, lock = Gathered(), app.lock
    pins = [app.image.python] if app.image and app.image.python else []
    pins = [pin for pin in pins if re.match(r"\d+\.\d+", pin[0])]
    python = pythons.choose([*pins, *pythons.pinned(app.tree, app.entry.project)], lock.pythons)
    found.saw(f"Python {python.version}", python.where or "the default")
    if lock.missing:
        found.saw("to be locked by uv", join(parent(lock.path), "pyproject.toml"))
    else:
        found.saw(f"locked by {lock.by}", lock.path)
    wanted = needs(lock, app.image, app.tree)
    found.losses += [*python.losses, *lock.losses, *wanted.losses]
    found.facts = {
        "PYTHON_VERSION": python.version,
        "API_LOCK": lock.path,
        "API_PACKAGE": lock.package,
        "API_GROUPS": " ".join(lock.groups),
        "API_FROM_SOURCE": " ".join(wanted.from_source),
        "API_BUILD_PACKAGES": " ".join(wanted.build),
        "API_RUN_PACKAGES": " ".join(wanted.run),
    }
    return found


def build(app: App, wishes: Wishes) -> Gathered:
    """Return the build step with all that it leaves, and what Node builds before."""
    steps = list(app.image.steps) if app.image else []
    for start in app.own:
        steps += [(job.command, where) for job, where in start.jobs if job.kind == "collect"]
    result = static_files(app.place, wishes.settings.get("prod"), steps)
    found = result.gathered
    if result.command:
        site = wishes.site
        module = site.settings["prod"] if site and site.differ else ""
        found.facts["API_BUILD_ENV"] = build_environment(
            wishes.reads, wishes.sorted, result, module, _imported_to_build(app, wishes)
        )
    if app.assets.found:
        found.facts["API_ASSETS"] = seen_from(app.place.source, app.assets.folder) or "."
        found.facts["API_ASSETS_COMMAND"] = app.assets.command
    found.evidence += app.assets.evidence
    found.losses += app.assets.losses
    return found


def _imported_to_build(app: App, wishes: Wishes) -> frozenset[str]:
    """Return the files that a build step imports: of Django's settings production's alone."""
    files, site = frozenset(app.files), wishes.site
    if site is None:
        return files
    production = site.places.get(site.settings["prod"])
    others = frozenset(path for path in site.places.values() if path != production)
    base = built_on(app.sources, production, app.place.roots) if production else []
    return (files - others) | frozenset(base)
