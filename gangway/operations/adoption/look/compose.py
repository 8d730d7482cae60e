"""Existing Compose files as data: the services of all of them, with their file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from gangway.model.written import Untagged
from gangway.operations.adoption.look.shell import substituted, words_of
from gangway.operations.adoption.look.tree import Tree, join, parent

_NAME = re.compile(r"(docker-)?compose[\w.-]*\.ya?ml")
_OLDER = re.compile(r"(local|production|prod|dev|development|staging|stack|base|common)\.ya?ml")
# Files of the same project that are one after the other.
_LATER = re.compile(r"override|local|dev|test|ci|prod|staging|deploy")


class _Loader(Untagged):
    """YAML as Compose has it: what `!reset` stands on is gone."""


_Loader.add_constructor("!reset", lambda *_: None)


@dataclass(frozen=True)
class Service:
    """A service of a Compose file."""

    name: str
    file: str
    line: int
    content: Mapping[str, Any]
    values: Mapping[str, str] = field(default_factory=dict)
    """What the file's variables are, as far as that is known."""

    @property
    def where(self) -> str:
        """Its place."""
        return f"{self.file}:{self.line}"

    @property
    def folder(self) -> str:
        """The folder of its file, from which its paths are seen."""
        return parent(self.file)

    @property
    def image(self) -> str:
        """Its image, as it is named."""
        return self.text(self.content.get("image"))

    @property
    def image_name(self) -> str:
        """Its image without registry, tag and digest: `postgres`, `axllent/mailpit`."""
        name = re.sub(r"@.*", "", self.image)
        name = re.sub(r":[^/]*$", "", name)
        head, slash, rest = name.partition("/")
        if slash and ("." in head or ":" in head or head == "localhost"):
            name = rest
        return name.removeprefix("library/")

    @property
    def context(self) -> str | None:
        """The folder that it is built from, None where it isn't built."""
        build = self.content.get("build")
        if build is None:
            return None
        context = build if isinstance(build, str) else (build or {}).get("context", ".")
        found = self.text(context)
        return None if "://" in found else join(self.folder, found)

    @property
    def dockerfile(self) -> str | None:
        """Its Dockerfile, None where it isn't built from one."""
        context = self.context
        if context is None:
            return None
        build = self.content["build"]
        name = build.get("dockerfile", "Dockerfile") if isinstance(build, dict) else "Dockerfile"
        return join(context, self.text(name))

    @property
    def target(self) -> str:
        """The stage that it is built to."""
        build = self.content.get("build")
        return self.text(build.get("target", "")) if isinstance(build, dict) else ""

    @property
    def command(self) -> tuple[str, ...]:
        """Its command's words."""
        return self._words("command")

    @property
    def entrypoint(self) -> tuple[str, ...] | None:
        """Its entrypoint's words, None where it says nothing of it."""
        return self._words("entrypoint") if "entrypoint" in self.content else None

    def _words(self, key: str) -> tuple[str, ...]:
        given = self.content.get(key)
        if isinstance(given, list):
            return tuple(self.text(word) for word in given)
        return words_of(self.text(given))

    def text(self, value: Any) -> str:
        """Return a value as text, its variables put in as far as they are known."""
        text = (
            "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        )
        return substituted(text, self.values).replace("$$", "$")

    @property
    def environment(self) -> dict[str, str]:
        """Its variables; one that is only passed on has its known value, or none."""
        given = self.content.get("environment") or {}
        found: dict[str, str] = {}
        if isinstance(given, list):
            for each in map(str, given):
                name, equals, value = each.partition("=")
                found[name] = self.text(value) if equals else self.values.get(name, "")
        elif isinstance(given, dict):
            for name, value in given.items():
                known = self.values.get(str(name), "") if value is None else self.text(value)
                found[str(name)] = known
        return found

    @property
    def env_files(self) -> list[str]:
        """The env files that it takes, those that must be there and those that may."""
        return [path for path, _ in self._env_files()]

    @property
    def needed_env_files(self) -> list[str]:
        """The env files that must be there."""
        return [path for path, needed in self._env_files() if needed]

    def _env_files(self) -> Iterator[tuple[str, bool]]:
        given = self.content.get("env_file") or []
        for each in [given] if isinstance(given, str | dict) else given:
            if isinstance(each, dict):
                yield (
                    join(self.folder, self.text(each.get("path"))),
                    each.get("required") is not False,
                )
            else:
                yield join(self.folder, self.text(each)), True

    @property
    def ports(self) -> tuple[int, ...]:
        """The container's ports that are published."""
        found: list[int] = []
        for each in self.content.get("ports") or []:
            given = each.get("target") if isinstance(each, dict) else self.text(each)
            match = re.search(r"(\d+)(?:-(\d+))?(?:/\w+)?$", str(given))
            if match:
                first, last = int(match[1]), int(match[2] or match[1])
                found += range(first, min(last, first + 20) + 1)
        return tuple(dict.fromkeys(found))

    @property
    def mounts(self) -> list[tuple[str, str]]:
        """Its volumes: what is mounted and where, a named volume by its name."""
        found: list[tuple[str, str]] = []
        for each in self.content.get("volumes") or []:
            if isinstance(each, dict):
                found.append((self.text(each.get("source")), self.text(each.get("target"))))
            else:
                source, colon, rest = self.text(each).partition(":")
                found.append((source, rest.partition(":")[0]) if colon else ("", source))
        return found

    @property
    def volumes(self) -> tuple[str, ...]:
        """The named volumes that it uses."""
        named = [source for source, _ in self.mounts if re.fullmatch(r"\w[\w.-]*", source)]
        return tuple(dict.fromkeys(named))

    @property
    def needs(self) -> tuple[str, ...]:
        """The services that it waits for."""
        given = self.content.get("depends_on") or []
        return tuple(str(name) for name in given)

    @property
    def healthcheck(self) -> str:
        """The command of its health check."""
        test = (self.content.get("healthcheck") or {}).get("test", "")
        return " ".join(map(str, test)) if isinstance(test, list) else self.text(test)


def compose_files(tree: Tree) -> list[str]:
    """Return the Compose files, the base first, then those in folders below."""
    found = []
    for path in tree.files:
        name = path.rpartition("/")[2]
        if path.count("/") > 2 or re.search(r"(^|/)(node_modules|docs?|examples?|tests?)/", path):
            continue
        older = (
            _OLDER.fullmatch(name) and "/" not in path and "\nservices:" in f"\n{tree.text(path)}"
        )
        if _NAME.fullmatch(name) or older:
            found.append(path)
    return sorted(
        found, key=lambda path: (path.count("/"), bool(_LATER.search(path)), len(path), path)
    )


def is_base(path: str) -> bool:
    """Say whether a Compose file is the one that others are put upon."""
    return re.fullmatch(r"(docker-)?compose\.ya?ml", path.rpartition("/")[2]) is not None


def load(
    tree: Tree, path: str, values: Mapping[str, str]
) -> tuple[list[Service], Mapping[str, Any]]:
    """Return a Compose file's services and all of its content; nothing where it isn't one."""
    try:
        content = yaml.load(tree.text(path), Loader=_Loader)  # noqa: S506 # safe, with tags
    except (yaml.YAMLError, ValueError, TypeError):
        return [], {}
    if not isinstance(content, dict) or not isinstance(content.get("services"), dict):
        return [], {}
    lines = _lines(tree.text(path))
    services = content["services"]
    return [
        Service(str(name), path, lines.get(str(name), 1), _whole(services, name), values)
        for name, each in services.items()
        if isinstance(each, dict)
    ], content


def _whole(services: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a service with what it extends in the same file."""
    own = dict(services[name])
    given = own.get("extends")
    other = given if isinstance(given, str) else (given or {}).get("service", "")
    elsewhere = isinstance(given, dict) and given.get("file")
    if other and not elsewhere and other != name and isinstance(services.get(other), dict):
        return merged(_whole(services, other), own)
    return own


def merged(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return a service with what a later file says of it; lists that Compose adds up are added."""
    both = {**before, **after}
    for key in ("ports", "volumes", "env_file"):
        first, second = before.get(key), after.get(key)
        if isinstance(first, list) and isinstance(second, list) and second:
            both[key] = [*first, *(each for each in second if each not in first)]
    for key in ("environment", "build", "depends_on", "healthcheck"):
        first, second = _mapping(before.get(key), key), _mapping(after.get(key), key)
        if first is not None and second is not None:
            both[key] = {**first, **second}
    return both


def _mapping(value: Any, key: str) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value
    if key == "build" and isinstance(value, str):
        return {"context": value}
    if isinstance(value, list) and key == "environment":
        parts = (str(each).partition("=") for each in value)
        return {name: text if equals else None for name, equals, text in parts}
    if isinstance(value, list) and key == "depends_on":
        return {str(each): None for each in value}
    return None


def _lines(text: str) -> dict[str, int]:
    """Return the lines of a file's services, by name."""
    found: dict[str, int] = {}
    inside, indent = False, 0
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"\S", line):
            inside = bool(re.match(r"""["']?services["']?\s*:""", line))
            indent = 0
        elif inside and (match := re.match(r"""( +)["']?([\w.-]+)["']?\s*:""", line)):
            indent = indent or len(match[1])
            if len(match[1]) == indent:
                found.setdefault(match[2], number)
    return found
