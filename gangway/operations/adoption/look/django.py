"""Django's side of an app: which settings count where, and what they come to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gangway.operations.adoption.look.apps import settings_named
from gangway.operations.adoption.look.python import Source, Sources
from gangway.operations.adoption.look.tree import join, parent
from gangway.operations.adoption.look.values import UNKNOWN, Values, resolved

KINDS = ("dev", "test", "prod")
_NAMES = {
    "dev": ("local", "dev", "development", "docker"),
    "test": ("test", "testing", "tests", "ci"),
    "prod": ("production", "prod", "deploy", "live"),
}
_OTHER = re.compile(
    r"(?P<start>.*[._])(?P<name>local|dev|development|docker|test|testing|tests|production|prod|base|common)"
)


@dataclass
class Site:
    """A Django project: where it is, and its settings module for each kind of environment."""

    folder: str
    """The folder of manage.py."""
    settings: Mapping[str, str]
    default: str
    """What manage.py takes where nothing is set."""
    serves: str
    """What asgi.py or wsgi.py takes then."""
    roots: tuple[str, ...] = ()
    places: dict[str, str] = field(default_factory=dict)
    """The files of the settings modules."""

    @property
    def differ(self) -> bool:
        """Whether DJANGO_SETTINGS_MODULE must be set: somewhere the default isn't what counts."""
        return any(each != self.default for each in (self.serves, *self.settings.values()))


def site(
    sources: Sources, folder: str, roots: Iterable[str], given: Mapping[str, str]
) -> Site | None:
    """Return the project of a manage.py; `given` are modules that the environments are given.

    None where no settings module can be found.
    """
    all_roots = (folder, *roots)
    default = settings_named(sources[join(folder, "manage.py")])
    serves = default
    for name in ("asgi.py", "wsgi.py"):
        for path in sources.tree.named(name, under=folder):
            if path in sources.files:
                serves = settings_named(sources[path]) or serves
    default = default or serves
    if not default:
        return None
    known = {kind: given.get(kind) or _variant(sources, all_roots, default, kind) for kind in KINDS}
    if serves != default and not given.get("prod"):
        known["prod"] = serves
    found = Site(folder, known, default, serves, all_roots)
    for module in dict.fromkeys(known.values()):
        if file := sources.module_file(all_roots, module):
            found.places[module] = file
    return found


def _variant(sources: Sources, roots: Iterable[str], default: str, kind: str) -> str:
    """Return the module for a kind of environment beside the one that is taken by default."""
    all_roots = tuple(roots)
    match = _OTHER.fullmatch(default)
    starts = (
        [match["start"]]
        if match
        else [f"{default}."]
        if _is_folder(sources, all_roots, default)
        else []
    )
    if not match and not starts:
        starts = [f"{default}_"]
    if not match and _says_something(sources, all_roots, default):
        # A module of its own, which may take the others in by itself.
        return default
    for start in starts:
        for name in _NAMES[kind]:
            if sources.module_file(all_roots, f"{start}{name}"):
                return f"{start}{name}"
    if kind == "test" and match and sources.module_file(all_roots, default):
        return _variant(sources, all_roots, default, "dev")
    return default


def _is_folder(sources: Sources, roots: Iterable[str], module: str) -> bool:
    path = sources.module_file(roots, module)
    return bool(path and path.endswith("/__init__.py"))


def _says_something(sources: Sources, roots: Iterable[str], module: str) -> bool:
    path = sources.module_file(roots, module)
    return bool(path and sources[path].module.body)


@dataclass
class Settings:
    """The settings of one kind of environment, as far as they can be told."""

    path: str
    names: Mapping[str, Any]
    source: Source
    values: Values

    def get(self, name: str) -> Any:
        """Return a setting, UNKNOWN where it isn't there or can't be told."""
        return resolved(self.names.get(name, UNKNOWN))

    def where(self, name: str) -> str:
        """Return the place that sets it, in the module or in one that it builds on."""
        pattern = re.compile(rf"^[ \t]*{re.escape(name)}\b.*=", re.MULTILINE)
        sources, roots = self.values.sources, self.values.roots
        for path in built_on(sources, self.path, roots):
            text = sources.tree.text(path)
            if match := pattern.search(text):
                return f"{path}:{text.count(chr(10), 0, match.start()) + 1}"
        return f"{self.path}:1"


def built_on(sources: Sources, path: str, roots: Iterable[str]) -> list[str]:
    """Return a settings module and those that it takes everything from, itself first."""
    all_roots, found = tuple(roots), [path]
    for each in found:
        source = sources[each]
        for taken in source.imports:
            place = sources.imported(source, all_roots, taken) if taken.name == "*" else None
            if place and place[0] not in found:
                found.append(place[0])
    return found


def settings_of(
    sources: Sources, found: Site, kind: str, environment: Mapping[str, str]
) -> Settings | None:
    """Return a site's settings in a kind of environment with these variables."""
    module = found.settings[kind]
    path = found.places.get(module)
    if path is None:
        return None
    values = Values(sources, found.roots, {**environment, "DJANGO_SETTINGS_MODULE": module})
    return Settings(path, values.scope(path), sources[path], values)


def listed(value: Any) -> list[str]:
    """Return what is known of a list of texts."""
    return (
        [each for each in value if isinstance(each, str)] if isinstance(value, list | tuple) else []
    )


def allows(hosts: Any, host: str, *, debug: bool) -> bool | None:
    """Say whether ALLOWED_HOSTS lets a Host header through; None where that can't be told."""
    if hosts is UNKNOWN:
        return None
    known = listed(hosts)
    if debug and not known:
        known = [".localhost", "127.0.0.1", "[::1]"]
    return any(
        each in ("*", host) or (each.startswith(".") and (host == each[1:] or host.endswith(each)))
        for each in known
    )


def packages_with_migrations(sources: Sources, folder: str) -> list[str]:
    """Return the labels of the site's own apps that have migrations."""
    found: dict[str, None] = {}
    for path in sources.tree.below(folder):
        if path.endswith("/migrations/__init__.py") or re.search(
            r"/migrations/0\d+_\w+\.py$", path
        ):
            app = parent(parent(path))
            found[app.rpartition("/")[2]] = None
    return list(found)
