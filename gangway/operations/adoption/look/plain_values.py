"""The value of an app's plain variable in each kind of environment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from gangway.operations.adoption.look.variable_names import is_engine

KINDS = ("dev", "test", "prod")
_DEVELOPMENT = ("development", "dev", "local", "docker", "debug")
_PRODUCTION = ("production", "prod", "live", "deploy")
_TESTING = ("test", "testing", "tests")
_DEBUG = re.compile(r"(?:.*_)?(?:DEBUG(?:_MODE)?|RELOAD)")
_ENVIRONMENT = re.compile(
    r"(?:[A-Z]+_)?(?:ENV|ENVIRONMENT|STAGE|MODE|PROFILE|CONFIG|SETTINGS|CONFIG_NAME|ENV_NAME)"
)
_HOSTS = re.compile(r"(?:.*_)?ALLOWED_HOSTS?")
_LOCAL = re.compile(
    r"\blocalhost\b|\b127\.0\.0\.1\b|\b0\.0\.0\.0\b|host\.docker\.internal|\.localhost\b"
)
_RANDOM = re.compile(
    r"(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[\w+-]{20,}[=/]*|(?=.*\d)[0-9a-f-]{32,}/?", re.ASCII
)
_DOMAIN = "set your domain in app.prod.env, beside localhost"
_OFF = {
    "true": "false", "True": "False", "TRUE": "FALSE", "1": "0", "yes": "no", "on": "off",
    "Yes": "No", "t": "f",
}  # fmt: skip


@dataclass(frozen=True)
class Given:
    """A value that somebody has for a variable."""

    value: str
    where: str
    kind: str = ""
    """`dev`, `test`, `prod`; empty where it is for all."""
    private: bool = False
    """Whether it is in a file that git ignores."""

    @property
    def is_known(self) -> bool:
        """Whether it says something: a value, and all of it."""
        return bool(self.value) and "${" not in self.value

    @property
    def is_hidden(self) -> bool:
        """Whether it is kept from git and looks like something that nobody may guess."""
        return self.private and bool(_RANDOM.fullmatch(self.value))


@dataclass
class Values:
    """A variable's value by the kind of environment, and what must be decided by somebody."""

    by_kind: dict[str, str] = field(default_factory=dict)
    undecided: list[tuple[str, str]] = field(default_factory=list)
    """What it is in development only, and what to do about it."""


def values(
    name: str, given: Iterable[Given], *, required: bool, choices: tuple[str, ...] = ()
) -> Values:
    """Return a variable's values; `choices` are those that the code allows.

    An example's value holds where it may be right everywhere. What is right in development alone
    becomes production's counterpart where there is one, and else is left to the code's own default,
    unless it is `required`.
    """
    known = list(given)

    def first(*kinds: str) -> str | None:
        found = (
            each.value for kind in kinds for each in known if each.kind == kind and each.is_known
        )
        return next(found, None)

    result = Values()
    everywhere = first("")
    production = first("prod")
    if production is None:
        likely = first("", "dev")
        if likely is not None:
            production = _for_production(name, likely, choices, required, result)
            if everywhere is None and not required and production == likely:
                production = None
    for kind, value in zip(
        KINDS, (first("dev", ""), first("test", "dev", ""), production), strict=True
    ):
        if value is not None:
            result.by_kind[kind] = value
    return result


def environment_values(example: str, choices: tuple[str, ...]) -> dict[str, str]:
    """Return the app's own words for development, test and production.

    `example` is one of them, `choices` all that the code allows.
    """
    found = {}
    known = choices or tuple(filter(None, (example, "production")))
    for kind, likely in (
        ("dev", _DEVELOPMENT),
        ("test", (*_TESTING, *_DEVELOPMENT)),
        ("prod", _PRODUCTION),
    ):
        same = (each for name in likely for each in known if each.lower() == name)
        found[kind] = next(same, known[-1] if kind == "prod" else known[0])
    return found


def _for_production(
    name: str, value: str, choices: tuple[str, ...], required: bool, result: Values
) -> str | None:
    """Return what production gets where only an example's or development's value is known."""
    upper = name.upper()
    if _DEBUG.fullmatch(upper) and value in _OFF:
        return _OFF[value]
    if value.lower() in _DEVELOPMENT and (_ENVIRONMENT.fullmatch(upper) or choices):
        return _environment(value, choices)
    if _HOSTS.fullmatch(upper):
        return _hosts(value, result)
    if not _LOCAL.search(value) or is_engine(name):
        return value
    if required:
        result.undecided.append((value, "set production's in app.prod.env"))
        return value
    do = "where production needs it, set it in app.prod.env; else the code's own default holds"
    result.undecided.append((value, do))
    return None


def _hosts(value: str, result: Values) -> str:
    """Return the hosts of production: those that aren't this machine's, and localhost."""
    if value.startswith("["):
        own = [
            host
            for host in re.findall(r"[\w*.-]+", value)
            if host != "*" and not _LOCAL.search(host)
        ]
        if not own:
            result.undecided.append((value, _DOMAIN))
        return json.dumps([*own, "localhost", "127.0.0.1"])
    between = " " if " " in value and "," not in value else ","
    parts = [part.strip() for part in value.strip("[]").replace('"', "").split(between)]
    own = [part for part in parts if part != "*" and not _LOCAL.search(part)]
    if not own:
        result.undecided.append((value, _DOMAIN))
    return between.join([*own, "localhost", "127.0.0.1"])


def _environment(value: str, choices: tuple[str, ...]) -> str | None:
    for name in _PRODUCTION:
        for each in choices:
            if each.lower() == name:
                return each
    if choices:
        return None
    return {"dev": "prod", "Dev": "Prod"}.get(value, "production")
