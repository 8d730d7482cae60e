"""`gangway`, or `python -m gangway`: a repository begins here; the tasks are Invoke's.

What is found and done is said on standard output, what is wrong on standard error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gangway import __version__
from gangway.base import output
from gangway.base.errors import INTERRUPTED, GangwayError

if TYPE_CHECKING:
    from gangway.operations.adoption.found import Found
    from gangway.operations.adoption.git import Repository


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says (the process's own for None); return the exit status."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        return _COMMANDS[options.command](options)
    except GangwayError as error:
        sys.stdout.flush()
        print(f"error: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        output.nobody_reads()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gangway",
        description="One Python web stack in every environment. The tasks: invoke --list",
    )
    parser.add_argument("--version", action="version", version=f"gangway {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="")
    about = "run an app that is there with Gangway: its code stays as it is"
    adopt = commands.add_parser("adopt", help=about, description=about.capitalize() + ".")
    adopt.add_argument(
        "folder", nargs="?", default=".", type=Path, metavar="FOLDER", help="its git repository (.)"
    )
    adopt.add_argument("--app", metavar="FOLDER", help="where the app is, if there are several")
    _shared(adopt)
    adopt.add_argument(
        "--dry-run", action="store_true", help="say what was found, and would be written"
    )
    about = "begin a project: a small FastAPI app, with Gangway"
    new = commands.add_parser("new", help=about, description=about.capitalize() + ".")
    new.add_argument("folder", type=Path, metavar="FOLDER", help="an empty one, or a new one")
    _shared(new)
    about = "bring the installed Gangway's files into a repository that has an older one's"
    update = commands.add_parser("update", help=about, description=about.capitalize() + ".")
    update.add_argument(
        "folder", nargs="?", default=".", type=Path, metavar="FOLDER", help="its git repository (.)"
    )
    update.add_argument("--dry-run", action="store_true", help="say what would become of each file")
    about = "put one service more into a stack, as text at the end of each of its files"
    _add_kinds(commands.add_parser("add", help=about, description=about.capitalize() + "."))
    return parser


def _add_kinds(add: argparse.ArgumentParser) -> None:
    kinds = add.add_subparsers(dest="kind", title="kinds", metavar="", required=True)
    for kind, about in {
        "worker": "a program of the app, from the same image as the api",
        "beat": "one that there is once: Celery's beat, or another scheduler",
        "cron": "a command of the app that runs by the clock",
        "service": "a container of another image",
    }.items():
        parser = kinds.add_parser(kind, help=about, description=about.capitalize() + ".")
        parser.add_argument("name", metavar="NAME", help="the service's name")
        if kind == "service":
            parser.add_argument("--image", required=True, help="with its version: mail:1.4")
            parser.add_argument("--port", type=int, help="its port, published in development")
        else:
            parser.add_argument(
                "--command", dest="runs", required=kind == "cron", metavar="COMMAND",
                help="what it runs" + ("" if kind == "cron" else "; as the stack's first worker"),
            )  # fmt: skip
        if kind == "cron":
            parser.add_argument("--schedule", required=True, help="as cron has it: '0 3 * * *'")
        parser.add_argument("--stack", help="its folder in stacks/, where there are several")
        parser.add_argument("--dry-run", action="store_true", help="print the difference")


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="the project's name: what all of its containers begin with")
    parser.add_argument(
        "-e", dest="facts", action="append", default=[], metavar="NAME=VALUE",
        help="a fact about the app, whatever is found: -e API_PORT=9000",
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="ask nothing: take what is likely")
    parser.add_argument(
        "--ci", choices=["github"], default="", help="write a workflow that runs what must hold"
    )
    parser.add_argument("--no-commit", action="store_true", help="leave what is written staged")


def _adopt(options: argparse.Namespace) -> int:
    from gangway.operations.adoption import adopt
    from gangway.operations.adoption.look import look

    _check(options)
    repository = adopt.opened(options.folder)
    found = look(options.folder, app=options.app)
    _carry_out(repository, found, options, dry_run=options.dry_run)
    return 0


def _new(options: argparse.Namespace) -> int:
    from gangway.operations.adoption import adopt, new_project
    from gangway.operations.adoption.look import look

    _check(options)
    name = options.name or adopt.proposed(options.folder.resolve().name)

    def adopted(repository: Repository) -> None:
        found = replace(look(repository.root), name=name)
        _carry_out(repository, found, options, dry_run=False)

    new_project.new(options.folder, adopted)
    return 0


def _update(options: argparse.Namespace) -> int:
    from gangway.operations.adoption import update

    return update.update(update.top(options.folder), dry_run=options.dry_run)


def _add(options: argparse.Namespace) -> int:
    from gangway.operations.adoption import add
    from gangway.operations.adoption.parts import Beside

    stack = add.opened(add.top(Path.cwd()), options.stack)
    name, kind = options.name, options.kind
    if kind == "service":
        addition = add.container(stack, name, options.image, options.port)
    else:
        schedule = add.schedule(options.schedule) if kind == "cron" else ""
        runs = options.runs or add.celery(stack, kind)
        addition = add.program(stack, Beside(name, runs, schedule, alone=kind == "beat"))
    add.add(stack, addition, dry_run=options.dry_run)
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse a wrong name before anything is looked at."""
    from gangway.operations.adoption import adopt

    if options.name is not None:
        adopt.check_name(options.name)


def _carry_out(
    repository: Repository, found: Found, options: argparse.Namespace, *, dry_run: bool
) -> None:
    """Ask what can't be known, say what was found, write it and say what to type."""
    from gangway.operations.adoption import adopt, asking, report, stack, writing

    facts: Mapping[str, str] = _facts(options.facts)
    if options.name:
        found = replace(found, name=options.name)
    found = adopt.with_facts(found, facts, named=options.name is not None)
    ask = not options.yes and not dry_run and asking.can_ask()
    unasked = () if ask else found.questions
    found = stack.answered(found, asking.answers(found.questions, ask=ask))
    plan = adopt.planned(repository, found, options.ci)
    colour = output.wants_colour(sys.stdout)
    print(report.before(plan, unasked, colour=colour))
    if dry_run:
        print("\nNothing was written (--dry-run).")
        return
    outcome = writing.write(plan, commit=not options.no_commit)
    print()
    print(report.after(plan, outcome, colour=colour))


def _facts(words: Sequence[str]) -> dict[str, str]:
    from gangway.settings.environment import parse_overrides

    return parse_overrides(words)


_COMMANDS = {"adopt": _adopt, "new": _new, "update": _update, "add": _add}


if __name__ == "__main__":
    sys.exit(main())
