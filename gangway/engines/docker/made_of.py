"""What an image is made of: the settings of its build, and the files that go into it.

In production that is every file. In development and test the sources are mounted over those in the
image, so that below a mounted folder only what says what is installed counts: an app's locks, what
is copied by its own name, and what the model's own `rebuild` rules name.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gangway.engines.docker import context, dockerfile
from gangway.model.model import Model
from gangway.settings import apps, installs
from gangway.settings.checkout import files as all_below
from gangway.settings.environment import Kind

# Bytes: of a larger file, time and size have to do, but in production: there another checkout
# compares.
_READ: Final = 1024**2

Seen = tuple[int, int, str]
"""A file's time of change in nanoseconds, its size, and a digest of what is in it."""
State = Mapping[str, Any]
"""What an image was made of: `settings` by name, each as a digest, and `files` by path."""


@dataclass(frozen=True)
class Image:
    """An image that is built here: its name, the services that run from it, and its build."""

    name: str
    services: tuple[str, ...]
    build: Mapping[str, Any]


def images(model: Model, services: Sequence[str]) -> list[Image]:
    """Return the images of those of the services that are built here, each with all that share it.

    The first service is one of `services`: once is enough to build an image.
    """
    found: dict[str, list[str]] = {}
    for name in (*services, *model.services):
        service = model.services[name]
        image = image_of(model, name)
        if service.get("build") and (image in found or name in services):
            found.setdefault(image, []).append(name)
    return [
        Image(name, tuple(dict.fromkeys(sharing)), model.services[sharing[0]]["build"])
        for name, sharing in found.items()
    ]


def image_of(model: Model, service: str) -> str:
    """Return the name of a service's image, Compose's own where the model has none."""
    return str(model.services[service].get("image") or f"{model.project}-{service}")


def state(root: Path, model: Model, image: Image, kind: Kind) -> State:
    """Return what an image would be made of now."""
    rules = _rules(image)
    return {
        "settings": _settings(root, image),
        "files": {
            _shown(root, path): _seen(path, status, kind)
            for path, status in _files(root, model, image, kind, rules)
            if not _kept_out(image, rules, path)
        },
    }


def changes(root: Path, model: Model, image: Image, kind: Kind, before: State) -> Iterator[str]:
    """Yield what an image isn't made of as it was `before`: settings and files, for people."""
    now, then = _settings(root, image), before["settings"]
    for name in sorted(now.keys() | then.keys()):
        if now.get(name) != then.get(name):
            yield f"the build's {name}"
    rules = _rules(image)
    left = dict(before["files"])
    changed = []
    for path, status in _files(root, model, image, kind, rules):
        known = left.pop(name := _shown(root, path), None)
        if known and known[:2] == [status.st_mtime_ns, status.st_size]:
            continue
        if known and known[2] and known[2] == _seen(path, status, kind)[2]:
            continue
        if known or not _kept_out(image, rules, path):
            changed.append(name)
    yield from sorted([*changed, *left])


def since(root: Path, model: Model, image: Image, kind: Kind, moment: float) -> Iterator[str]:
    """Yield the files that an image would be made of which have changed since then, by their time.

    `moment` is in seconds since the epoch.
    """
    rules = _rules(image)
    found = [
        _shown(root, path)
        for path, status in _files(root, model, image, kind, rules)
        if status.st_mtime > moment and not _kept_out(image, rules, path)
    ]
    yield from sorted(found)


def _settings(root: Path, image: Image) -> dict[str, str]:
    flat: dict[str, Any] = {}
    for key, value in image.build.items():
        if isinstance(value, Mapping):
            flat |= {f"{key} {name}": each for name, each in value.items()}
        else:
            flat[key] = value
    # Another checkout has the same folders elsewhere.
    texts = {
        name: json.dumps(value, sort_keys=True).replace(str(root), "")
        for name, value in flat.items()
    }
    return {name: _digest(text.encode()) for name, text in texts.items()}


def _files(
    root: Path, model: Model, image: Image, kind: Kind, rules: context.Ignored
) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the absolute path and the state of each file; some of them are kept out (`rules`)."""
    top, recipe = _context(image), _recipe(image)
    if not top.is_dir():
        return  # somebody's repository, perhaps
    taken = _taken(image)
    once: set[str] = set()
    found = [] if not recipe.is_file() else [(str(recipe), recipe.lstat())]
    hidden = frozenset() if kind == "prod" else _hidden(model, image)
    copied = context.files(top, taken, rules, hidden)
    named = ((str(file), file.lstat()) for file in _installing(root, model, image, taken, kind))
    for path, status in (*found, *((f"{top}/{path}", status) for path, status in copied), *named):
        if path not in once:
            once.add(path)
            yield path, status


def _taken(image: Image) -> list[str]:
    build, recipe = image.build, _recipe(image)
    text = build.get("dockerfile_inline") or ""
    if recipe.is_file():
        text = recipe.read_text(encoding="utf-8", errors="replace")
    return dockerfile.taken(text, build.get("target") or "", build.get("args"))


def _installing(
    root: Path, model: Model, image: Image, taken: Sequence[str], kind: Kind
) -> Iterator[Path]:
    """Yield what counts below mounted folders, too, and wherever in the checkout it is."""
    top, args = _context(image), image.build.get("args") or {}
    copied = [each for path in taken for each in ([top] if path == "." else top.glob(path))]
    if libraries := apps.libraries({"build": image.build}):
        yield from libraries.files(root)
    if assets := args.get("ASSETS"):
        yield from installs.files([root / (args.get("APP") or "") / assets])
    yield from installs.files(
        each for each in copied if each.is_dir() or installs.is_one(each.name)
    )
    if kind == "prod":
        return
    # Copied by its own name, before the rest: it is installed by.
    yield from (each for each in copied if each.is_file())
    for path in _rebuilt_for(model, image):
        if path.is_file():
            yield path
        for each in copied:
            if each.is_relative_to(path) or path.is_relative_to(each):
                yield from all_below(max(each, path, key=lambda found: len(found.parts)))


def _rebuilt_for(model: Model, image: Image) -> Iterator[Path]:
    """Yield the paths of the `rebuild` rules that are an image's.

    Those are its own services', and folders of any: they are what images have in common.
    """
    for name, service in model.services.items():
        for rule in _watched(service) if service.get("build") else ():
            path = Path(rule["path"])
            if rule["action"] == "rebuild" and (name in image.services or path.is_dir()):
                yield path


def _hidden(model: Model, image: Image) -> frozenset[str]:
    """Return the folders and files that every service of an image has from this machine instead."""
    each = [
        {
            *(mount["source"] for mount in service.get("volumes") or () if mount["type"] == "bind"),
            *(rule["path"] for rule in _watched(service) if rule["action"].startswith("sync")),
        }
        for service in (model.services[name] for name in image.services)
    ]
    return frozenset.intersection(*map(frozenset, each))


def _watched(service: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (service.get("develop") or {}).get("watch") or ()


def _context(image: Image) -> Path:
    return Path(str(image.build.get("context") or ""))


def _recipe(image: Image) -> Path:
    return _context(image) / str(image.build.get("dockerfile") or "Dockerfile")


def _rules(image: Image) -> context.Ignored:
    return context.ignored(_context(image), _recipe(image))


def _kept_out(image: Image, rules: context.Ignored, path: str) -> bool:
    top = f"{_context(image)}/"
    # The Dockerfile itself is read whatever the list says.
    return path.startswith(top) and path != str(_recipe(image)) and rules(path.removeprefix(top))


def _shown(root: Path, path: str) -> str:
    return path.removeprefix(f"{root}/")


def _seen(path: str, status: os.stat_result, kind: Kind) -> Seen:
    digest = ""
    try:
        if stat.S_ISLNK(status.st_mode):
            digest = _digest(os.fsencode(Path(path).readlink()))
        elif stat.S_ISREG(status.st_mode) and (status.st_size <= _READ or kind == "prod"):
            digest = _digest(Path(path).read_bytes())
    except OSError:
        pass  # gone meanwhile, or not for us to read: its time and size have to do
    return status.st_mtime_ns, status.st_size, digest


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
