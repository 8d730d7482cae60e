"""The folder of an adopted app's stack, from what was found: text, and nothing written.

It is the user's own from then on: it is to read as if somebody had written it for this app by hand.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gangway.operations.adoption import compose, described, services
from gangway.operations.adoption.found import Found
from gangway.operations.adoption.services import Given
from gangway.operations.adoption.starter import Names
from gangway.operations.adoption.theirs import Theirs
from gangway.settings import envfile
from gangway.settings.contract import Spec

# The facts in the order in which a reader wants to know them, a paragraph each; others follow.
_PARAGRAPHS: Final = (
    ("API_SOURCE", "API_WORKDIR", "API_PYTHONPATH", "RELOAD_WATCH"),
    (
        "PYTHON_VERSION", "API_LOCK", "API_PACKAGE", "API_EXTRAS", "API_GROUPS", "API_FROM_SOURCE",
        "API_BUILD_PACKAGES", "API_RUN_PACKAGES",
    ),
    ("API_BUILD_COMMAND", "API_BUILD_ENV", "API_ASSETS", "API_ASSETS_COMMAND"),
    ("API_INTERFACE", "API_TARGET", "API_PORT", "APP_PRELOAD"),
    ("API_HEALTH", "API_HEALTH_HOST", "API_HEALTH_SCHEME"),
    ("API_READS", "STACK_EXTERNAL_DATABASE"),
    (
        "MIGRATE_COMMAND", "MIGRATE_PLAN_COMMAND", "SEED_COMMAND", "DB_IMPORTS", "MIGRATE_MEMORY",
        "MAKEMIGRATION_COMMAND", "DOWNGRADE_COMMAND", "HISTORY_COMMAND",
    ),
    (
        "PROXY_ROOT", "API_PREFIX", "API_MOUNT", "API_STATIC", "API_STATIC_URL", "API_MEDIA",
        "API_MEDIA_URL",
    ),
    ("CLOSED_PATHS", "EGRESS"),
    (
        "TEST_COMMAND", "TEST_PATHS", "TEST_SOURCE", "TEST_WORKDIR", "TEST_LOCKS", "TEST_MEMORY",
    ),
)  # fmt: skip

# Read ahead while a new database is made; both are what the command itself imports first.
_IMPORTS: Final = (
    (r"\bmanage\.py\b|\bdjango-admin\b", "django.core.management django.db.migrations.executor"),
    (r"\balembic\b|\bflask db\b", "alembic.config alembic.command"),
)
# Where there is nothing to run, that is said: the samples have something.
_SAID_EMPTY: Final = ("MIGRATE_COMMAND", "SEED_COMMAND")
OVERLAYS: Final = ("dev", "test", "prod")


@dataclass(frozen=True)
class Stack:
    """What the folder is made from: the app, its names, and what it is given.

    `foreign` has what is in the user's Compose files, and `specs` what the facts mean.
    """

    found: Found
    names: Names
    foreign: Mapping[str, Theirs]
    specs: Mapping[str, Spec]

    def files(self) -> dict[str, str]:
        """Return the texts of the folder's files, by path."""
        texts = {
            "stack.env": self._settings(),
            "contract.yml": described.contract(self.given),
            **compose.files(self.given),
            **dict(self._variables()),
        }
        return {f"{self.names.stack}/{name}": text for name, text in texts.items()}

    @property
    def given(self) -> Given:
        """What the Compose files are made from."""
        return services.given(self.found, self.names, self.foreign)

    def _settings(self) -> str:
        folder = self.names.stack
        added = f"{folder}/compose.yml:{folder}/${{OVERLAY}}.yml"
        profiles = ["database", "api", *(each.name for each in self.given.programs)]
        lines = [
            f"# {_sentence(self.found.about)}.",
            f"# Its facts in every environment; `{self.names.invoke} dev.env` shows where from.",
            "",
            "# What containers, images and volumes are named after",
            f"PROJECT={self.names.project}",
            "COMPOSE_PROJECT_NAME=${PROJECT}-${ENVIRONMENT_NAME}",
            f"COMPOSE_FILE=${{COMPOSE_FILE}}:{added}",
            f"COMPOSE_PROFILES={','.join(profiles)}",
            *([f"STACK_NATIVE={folder}/native.yml"] if self.given.has_native else []),
        ]
        for paragraph in self._paragraphs(facts(self.found)):
            lines += ["", *paragraph]
        for program in self.given.programs:
            lines += [
                "",
                f"# What the {program.name} runs",
                f"{program.prefix}_COMMAND={envfile.quote(program.command)}",
            ]
        return "\n".join(lines) + "\n"

    def _paragraphs(self, values: Mapping[str, str]) -> Iterator[list[str]]:
        rest = dict(values)
        named = {name for names in _PARAGRAPHS for name in names}
        for names in (*_PARAGRAPHS, tuple(name for name in values if name not in named)):
            lines: list[str] = []
            for name in names:
                value = rest.pop(name, "")
                if value or name in _SAID_EMPTY:
                    if spec := self.specs.get(name):
                        # What a user reads here has no docs/ of ours beside it.
                        meaning = re.sub(r": docs/\S+$", "", spec.meaning)
                        lines += textwrap.wrap(
                            meaning, 98, initial_indent="# ", subsequent_indent="# "
                        )
                    lines.append(f"{name}={envfile.quote(value)}")
            if lines:
                yield lines

    def _variables(self) -> Iterator[tuple[str, str]]:
        everywhere = self.found.variables.get("", {})
        if self.given.variables:
            yield "app.env", _env_file("The app's own variables, in every environment.", everywhere)
        for overlay in OVERLAYS:
            if own := self.found.variables.get(overlay):
                text = f"The app's own variables that differ in {overlay}."
                yield f"app.{overlay}.env", _env_file(text, own)


def facts(found: Found) -> dict[str, str]:
    """Return the variables of the stack's file, those that the samples have otherwise included."""
    given = {name: value for name, value in found.facts.items() if value}
    for name in _SAID_EMPTY:
        # A command that does nothing still needs a driver for the database that it is locked by.
        if given.get(name) in ("true", ":"):
            del given[name]
    source, port = given.get("API_SOURCE", "."), given.get("API_PORT", "8000")
    migrate = given.get("MIGRATE_COMMAND", "")
    prefix = given.get("API_PREFIX", "").rstrip("/") or "/api"
    defaults = {
        "API_SOURCE": source,
        # As gunicorn has it: only its owner knows whether it may be imported before the fork.
        "APP_PRELOAD": "0",
        "DB_IMPORTS": next((what for how, what in _IMPORTS if re.search(how, migrate)), ""),
        "PROXY_ROOT": f"api:{port}",
        "API_MOUNT": f"{prefix}/",
        "TEST_SOURCE": source,
        "TEST_WORKDIR": given.get("API_WORKDIR", ""),
    }
    if "database_url" in given.get("API_READS", "") or _reads(given, "DATABASE_URL"):
        defaults["STACK_EXTERNAL_DATABASE"] = "1"
    if "API_PREFIX" in given:
        given["API_PREFIX"] = prefix
    reads = [
        given.get("API_READS", ""),
        *(name for name in found.secrets if not _reads(given, name)),
    ]
    merged = {**defaults, **given, "API_READS": " ".join(filter(None, reads))}
    return {name: value for name, value in merged.items() if value and name != "PROJECT"}


def answered(found: Found, answers: Mapping[str, str]) -> Found:
    """Return what was found with the user's answers in it."""
    own = {name: value for name, value in answers.items() if name != "PROJECT"}
    return replace(
        found, facts={**found.facts, **own}, name=answers.get("PROJECT", found.name), questions=()
    )


def _reads(given: Mapping[str, str], name: str) -> bool:
    return re.search(rf"(^|\s){name}(=|\s|$)", given.get("API_READS", "")) is not None


def _sentence(text: str) -> str:
    text = text.rstrip(".")
    return text[:1].upper() + text[1:]


def _env_file(about: str, values: Mapping[str, str]) -> str:
    lines: Sequence[str] = [f"{name}={envfile.quote(value)}" for name, value in values.items()]
    return "\n".join([f"# {about}", *lines]) + "\n"
