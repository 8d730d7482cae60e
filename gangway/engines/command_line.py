"""The command line of an engine that takes `docker compose`'s words, and isn't Compose.

`python -m gangway.engines.NAME --env-file FILE … COMMAND` is what a task prints for it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gangway.base.errors import GangwayError
from gangway.engines.interface import CannotDo
from gangway.settings.environment import STACK_FILE, Environment, load

Verb = Callable[[Any, argparse.Namespace], int]
"""What a command does, with the engine's own object and the options; returns an exit status."""


class Commands:
    """The commands of an engine; `whose` services say what they don't know, as tasks refuse."""

    def __init__(self, engine: str, whose: str) -> None:
        class Refusing(argparse.ArgumentParser):
            def error(self, message: str) -> Any:
                raise CannotDo(f"{whose} don't know that: {message}", fix=f"docs/{engine}.md")

        self._parser = Refusing(prog=f"gangway.engines.{engine}", add_help=False)
        self._verbs = self._parser.add_subparsers(required=True, parser_class=Refusing)

    def add(self, name: str, verb: Verb, *flags: str) -> argparse.ArgumentParser:
        """Add a command with its flags; return its parser, for what else it takes."""
        added: argparse.ArgumentParser = self._verbs.add_parser(name, add_help=False)
        added.set_defaults(verb=verb, name=name)
        for flag in flags:
            added.add_argument(flag, action="store_true")
        return added

    def add_usual(self, *, down: Verb, logs: Verb, exec_: Verb, run: Verb) -> None:
        """Add those that every engine takes in the same words."""
        stopping = self.add("down", down, "--remove-orphans", "--volumes")
        stopping.add_argument("--timeout", type=float)
        showing = self.add("logs", logs, "--follow")
        showing.add_argument("--since", default="")
        showing.add_argument("--tail", default="")
        showing.add_argument("services", nargs="*")
        for name, verb in (("exec", exec_), ("run", run)):
            into = self.add(name, verb, "--rm", "--no-deps", "--no-TTY")
            into.add_argument("service")
            into.add_argument("words", nargs=argparse.REMAINDER)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Return a call's options, its `verb` and its `name`; raises CannotDo for other words."""
        return self._parser.parse_args(words)


def main(
    argv: Sequence[str], engine: str, call: Callable[[Environment, Sequence[str]], int]
) -> int:
    """Have `call` do what a task has printed, in the environment that the files make."""
    words, files = list(argv), []
    while words[:1] == ["--env-file"] and len(words) > 2:
        files.append(Path(words[1]))
        del words[:2]
    if not files:
        usage = f"usage: python -m gangway.engines.{engine} --env-file FILE … COMMAND"
        print(usage, file=sys.stderr)
        return 2
    stack = next((file.parent.name for file in files if file.name == STACK_FILE), None)
    images = next((file.stem for file in files if file.parent.name == "images"), None)
    try:
        found = load(Path.cwd(), files[0].stem, engine=engine, stack=stack, images=images)
        return call(found, words)
    except GangwayError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
