"""What was found in somebody's repository, as plain data.

`look` makes it from reading alone; what writes an adoption makes files of it. Paths are POSIX paths
seen from the repository's root, and a place is `path:line`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Loss:
    """What was seen and is not carried over."""

    what: str
    """The thing itself, as it stands there: `RUN curl … | sh`."""
    where: str
    """`backend/Dockerfile:12`."""
    do: str
    """What the reader is to do about it."""


@dataclass(frozen=True)
class Program:
    """A worker, a beat, a scheduler: what runs beside the web service, from the same image."""

    name: str
    """The service's name: `worker`, `beat`."""
    command: str
    """Its command line, in the app's working directory: `celery -A shop worker --loglevel=info`."""


@dataclass(frozen=True)
class Foreign:
    """A service of an existing Compose file, which stays there and joins the stack."""

    name: str
    file: str
    """The Compose file that it is in: `docker-compose.yml`."""
    ports: tuple[int, ...] = ()
    """The ports of the container that it publishes."""
    volumes: tuple[str, ...] = ()
    """The named volumes that it uses."""


@dataclass(frozen=True)
class Question:
    """What reading can't tell, and the user must."""

    fact: str
    """The variable of `Found.facts` that the answer is for; `PROJECT` for the name."""
    text: str
    choices: tuple[str, ...] = ()
    """The answers to choose from; empty where any text will do."""
    default: str = ""
    """What is taken where nobody is asked, and what `Found.facts` holds."""


@dataclass(frozen=True)
class Found:
    """An app, and everything about it that Gangway's files need to know."""

    name: str
    """The proposed project name, valid for Compose."""
    about: str
    """One line for the user: `a Django 5.2 site with Celery, locked by uv`."""
    facts: Mapping[str, str]
    """The variables of the stack's file, described in gangway/settings/contract.yml."""
    programs: tuple[Program, ...] = ()
    variables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The app's own plain variables: `""` for all environments; `dev`, `test`, `prod` differ."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """The app's own secrets: variable → value for development and test (may be empty)."""
    foreign: tuple[Foreign, ...] = ()
    queue: bool = False
    """Whether it keeps a queue in Redis: a broker is needed, which neither evicts nor forgets."""
    evidence: tuple[tuple[str, str], ...] = ()
    """What was found, and where: `("entry point config.asgi:application", "config/asgi.py:12")`."""
    losses: tuple[Loss, ...] = ()
    questions: tuple[Question, ...] = ()
    """At most three."""
    lock_missing: bool = False
    """Whether the lock that API_LOCK names must be made first: `uv lock` in its folder makes it."""
