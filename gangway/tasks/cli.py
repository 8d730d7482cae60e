"""From plain functions to Invoke tasks: one collection for each environment, errors as messages.

A function `def up(project, *services, build=False)` becomes `invoke dev.up api app --build`, and
the same for every other environment. Invoke itself knows no arguments of any number, so `*services`
is an option that `spread` fills from the bare words on the command line.
"""

from __future__ import annotations

import atexit
import gc
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, get_args, get_origin, get_type_hints

from invoke import Argument, Collection, Context, Exit, ParseError, Program, Task

from gangway.base import output
from gangway.base.errors import INTERRUPTED, GangwayError, nearest, unknown
from gangway.base.process import Ended, told_to_end
from gangway.tasks.options import DryRun, Engine, Images, Option, Stack, Values

AFTER: Final = "after"
"""The name of the parameter that takes the words after `--`."""


def dashed(function: Callable[..., Any]) -> str:
    """Return what a function's task is called: `upgrade-postgres` for `upgrade_postgres`."""
    return function.__name__.rstrip("_").replace("_", "-")


class Names(Collection):
    """A collection whose names stay as they are, dashes and underscores."""

    def transform(self, name: str) -> str:
        """Return the name as it is called."""
        return name


class OptionTask(Task[Any]):
    """A task whose options come from a function's annotations."""

    def __init__(self, function: Callable[..., Any], body: Callable[..., Any]) -> None:
        """`function` has the signature and the docstring, `body` is what Invoke calls."""
        self.function = function
        body.__doc__ = function.__doc__
        # Without it Invoke looks at the body's signature for them, for every task that there is.
        super().__init__(body, name=dashed(function), positional=())
        self.__doc__ = function.__doc__

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:  # noqa: ARG002
        """Return one argument for each option; Invoke's own rules for short flags don't apply."""
        return [argument(name, parameter, kind) for name, parameter, kind in self.parameters()]

    def parameters(self) -> list[tuple[str, inspect.Parameter, Any]]:
        """Return name, parameter and annotation of everything the command line may give."""
        hints = get_type_hints(self.function, include_extras=True)
        found = []
        for name, parameter in inspect.signature(self.function).parameters.items():
            if name not in ("project", "root", AFTER):
                found.append((name, parameter, hints[name]))
        if "project" in hints:
            common: Mapping[str, Any] = {
                "stack": Stack, "images": Images, "engine": Engine, "env": Values,
                "dry_run": DryRun,
            }  # fmt: skip
            for name, annotation in common.items():
                default: Any = [] if name == "env" else False if name == "dry_run" else None
                keyword = inspect.Parameter(
                    name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
                )
                found.append((name, keyword, annotation))
        return found

    def takes_words(self) -> bool:
        """Say whether it takes the words after `--`: as its parameter `after`."""
        return AFTER in inspect.signature(self.function).parameters

    def rest(self) -> str | None:
        """Return the name of the parameter that takes all bare words, None where there is none."""
        for name, parameter, _ in self.parameters():
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                return name
        return None


def argument(name: str, parameter: inspect.Parameter, annotation: Any) -> Argument:
    """Return Invoke's argument for one parameter."""
    option = Option("")
    kind = annotation
    if get_origin(annotation) is Annotated:
        kind, *notes = get_args(annotation)
        option = next((note for note in notes if isinstance(note, Option)), option)
    several = parameter.kind is inspect.Parameter.VAR_POSITIONAL or get_origin(kind) is list
    positional = parameter.default is inspect.Parameter.empty and not several
    # `from_`: Python has the word for itself.
    flag = name.rstrip("_").replace("_", "-")
    return Argument(
        names=(flag, option.short) if option.short else (flag,),
        kind=list if several else kind,
        default=[] if several else None if positional else parameter.default,
        help=option.help,
        positional=positional,
        # Equal to the flag, it would be an alias of itself.
        attr_name=name if name != flag else None,
    )


def task(function: Callable[..., Any], root: Path) -> OptionTask:
    """Make a task of a function whose first parameter is the repository's folder."""

    def body(_context: Context, **options: Any) -> None:
        finish(lambda: call(function, options, root))

    return OptionTask(function, body)


def environment_task(function: Callable[..., Any], root: Path, name: str) -> OptionTask:
    """Make the task of one environment from a function whose first parameter is the project."""

    def body(
        _context: Context,
        *,
        stack: str,
        images: str,
        engine: str,
        env: list[str],
        dry_run: bool,
        **options: Any,
    ) -> None:
        def work() -> Any:
            from gangway.operations.project import open_project
            from gangway.settings.environment import parse_overrides

            opened = open_project(
                root,
                name,
                stack=stack,
                images=images,
                engine=engine,
                overrides=parse_overrides(env),
                dry_run=dry_run,
            )
            return call(function, options, opened)

        finish(work)

    return OptionTask(function, body)


def call(function: Callable[..., Any], options: Mapping[str, Any], *first: Any) -> Any:
    """Call a function with Invoke's options, the list of bare words as positional arguments."""
    named = dict(options)
    for name, parameter in inspect.signature(function).parameters.items():
        if name == AFTER:
            named[AFTER] = remainder(sys.argv)
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            first = (*first, *named.pop(name))
    return function(*first, **named)


def finish(work: Callable[[], Any]) -> None:
    """Run a task's work: a user's error becomes a message and status 2, a status is passed on."""
    try:
        with told_to_end():
            status = work()
        sys.stdout.flush()
    except GangwayError as error:
        refuse(error)
    except Ended as ended:
        raise Exit(code=ended.status) from None
    except KeyboardInterrupt:
        raise Exit(code=INTERRUPTED) from None
    except BrokenPipeError:
        output.nobody_reads()
        return
    if isinstance(status, int) and status != 0:
        raise Exit(code=status)


def environments(
    root: Path,
    everywhere: Sequence[Callable[..., Any]],
    by_kind: Mapping[str, Sequence[Callable[..., Any]]],
) -> list[Collection]:
    """Return a collection for each environment file in `env/`.

    `by_kind` holds the tasks that only environments of a kind (dev, test, prod) have; one of the
    same name takes a common one's place. A file whose kind can't be read gets the common tasks, and
    they say what is wrong with it.
    """
    from gangway.settings.environment import environments as names
    from gangway.settings.environment import kind_of

    found = []
    for name in names(root):
        try:
            kind = kind_of(root, name)
        except GangwayError:
            kind = None
        own = by_kind.get(kind, ()) if kind else ()
        functions = {each.__name__: each for each in (*everywhere, *own)}
        tasks = [environment_task(function, root, name) for function in functions.values()]
        found.append(collection(name, tasks, f"The environment in env/{name}.env."))
    return found


def collection(name: str, tasks: Iterable[Task[Any]], about: str) -> Collection:
    """Return a named collection of tasks; `about` is its line in `invoke --list`."""
    found = Names(name)
    found.__doc__ = about
    for each in tasks:
        found.add_task(each)
    return found


def remainder(argv: Sequence[str]) -> list[str]:
    """Return the words after `--`, untouched: Invoke itself would join them to one string."""
    return list(argv[argv.index("--") + 1 :]) if "--" in argv else []


def spread(
    words: Sequence[str], tasks: Mapping[str, OptionTask], core_flags: Iterable[str] = ()
) -> list[str]:
    """Return the command line's words with each bare word as the option of its task's `rest`.

    `dev.up api --build app` becomes `dev.up --services=api --build --services=app`. Raises
    GangwayError for a task or an option that doesn't exist, with the nearest one.
    """
    known_flags = set(core_flags)
    out: list[str] = []
    current: OptionTask | None = None
    takes_value: dict[str, bool] = {}
    positional = 0
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word.startswith("-") and word != "-":
            flag = word.partition("=")[0]
            known = {*takes_value, *known_flags}
            if current is not None and flag not in known and word[:2] not in known:
                raise unknown("option", flag, sorted(takes_value), where=current.name)
            out.append(word)
            if takes_value.get(word) and queue:
                out.append(queue.pop(0))
        elif word in tasks:
            current = tasks[word]
            arguments = current.get_arguments()
            positional = sum(each.positional for each in arguments)
            takes_value = {flag: a.takes_value for a in arguments for flag in flags_of(a)}
            out.append(word)
        elif current is not None and positional:
            positional -= 1
            out.append(word)
        elif current is not None and (rest := current.rest()):
            out.append(f"--{rest.replace('_', '-')}={word}")
        else:
            raise unknown_task(word, list(tasks))
    return out


def refuse_words(
    words: Sequence[str], tasks: Mapping[str, OptionTask], after: Sequence[str]
) -> None:
    """Refuse words after `--` that no task of the command line takes."""
    named = [word for word in words if word in tasks]
    if not after or not named or any(tasks[name].takes_words() for name in named):
        return
    raise GangwayError(
        f"{named[-1]} takes no words after --: {' '.join(after)}",
        fix=f"leave them out; invoke --help {named[-1]} shows its options",
    )


def flags_of(arg: Argument) -> list[str]:
    """Return an argument's flags as typed."""
    return [f"--{name}" if len(name) > 1 else f"-{name}" for name in arg.names]


def unknown_task(word: str, known: Sequence[str]) -> GangwayError:
    """Return the error for a word that is neither a task nor an argument of one."""
    environment, dot, rest = word.partition(".")
    collections = sorted({name.partition(".")[0] for name in known if "." in name})
    if dot and environment not in collections:
        guess = nearest(environment, collections)
        fix = f"did you mean {guess}.{rest}? " if guess else ""
        return GangwayError(
            f"no environment named {environment!r}",
            fix=f"{fix}(there are: {', '.join(collections)})",
        )
    guess = nearest(word, known)
    fix = f"did you mean {guess}? (invoke --list shows all)" if guess else "invoke --list shows all"
    return GangwayError(f"no task named {word!r}", fix=fix)


def listing(tasks: Mapping[str, OptionTask]) -> str:
    """Return the text of `invoke --list`: what every environment has is said once."""
    groups: dict[str, dict[str, str]] = {}
    for full_name, each in tasks.items():
        group, _, name = full_name.rpartition(".")
        rest = each.rest()
        label = f"{name} [{rest}…]" if rest else name
        groups.setdefault(group, {})[label] = (each.__doc__ or "").strip().splitlines()[0]
    environments = [group for group in groups if group not in ("", "images")]
    having: dict[tuple[str, str], list[str]] = {}
    for group in environments:
        for entry in groups[group].items():
            having.setdefault(entry, []).append(group)
    shared = {label: about for (label, about), who in having.items() if who == environments}
    names = ", ".join(f"{group}.up" for group in environments)
    lines = [f"In every environment ({names}):", *_lines("  ", shared), "", "Elsewhere:"]
    lines += _lines("  ", groups.get("", {}))
    own = {
        f"{who[0]}.{label}": about + (f" ({', '.join(who[1:])}, too)" if who[1:] else "")
        for (label, about), who in having.items()
        if who != environments
    }
    lines += _lines("  ", own)
    for label, about in groups.get("images", {}).items():
        lines += _lines("  ", {f"images.{label}": about})
    lines += ["", "invoke --help dev.up explains a task with its options."]
    return "\n".join(lines)


def _lines(indent: str, entries: Mapping[str, str]) -> list[str]:
    return [f"{indent}{label:<24}  {about}" for label, about in entries.items()]


def install(program: Program, namespace: Collection, root: Path) -> Collection:
    """Make `program`, which is reading its command line now, understand bare words.

    Returns the tasks that it needs for that: those which the command line names, since Invoke
    copies each that it is given, several times. Does nothing where the tasks are imported by
    something else than a running Invoke, or where Invoke was asked for completions.
    """
    from gangway.settings.environment import misnamed

    core = getattr(program, "core", None)
    if core is None or program.args.complete.value:
        return namespace
    # Invoke makes a copy of the namespace, by its own settings: an underscore stays one, because
    # messages name an environment as its file is called.
    program.config.tasks.auto_dash_names = False
    # As it ends, Python looks for garbage in all that is imported: 26 ms of a short task's 176.
    atexit.register(gc.freeze)
    tasks = {name: namespace[name] for name in namespace.task_names}
    typed = {n: t for n, t in tasks.items() if isinstance(t, OptionTask)}
    if program.args.list.value is True:
        finish(lambda: print(listing(typed)))
        for finding in misnamed(root):
            output.say(f"note: {finding}")
        raise Exit(code=0)
    try:
        core.unparsed[:] = spread(core.unparsed, typed, core[0].flags)
        refuse_words(core.unparsed, typed, remainder(sys.argv))
    except GangwayError as error:
        refuse(error)
    parse = program.parse_tasks

    def parse_tasks() -> None:
        """Parse the rest as Invoke does, and refuse as we do: it exits 1, or with a traceback."""
        # Its copy would still make underscores of dashes.
        program.collection.transform = namespace.transform  # type: ignore[method-assign]
        try:
            parse()
        except ParseError as error:
            name = error.context.name if error.context else ""
            said = re.sub(r"Flag <Argument: ([\w-]+).*?>", r"--\1", str(error))
            refuse(GangwayError(said, fix=f"invoke --help {name}".rstrip()))
        except ValueError as error:
            value = str(error).rpartition(": ")[2]
            refuse(GangwayError(f"{value} is not a number", fix="invoke --help TASK"))

    program.parse_tasks = parse_tasks  # type: ignore[method-assign]
    wanted = [word for word in (*core.unparsed, program.args.help.value) if word in typed]
    return subset(namespace, wanted) if wanted else namespace


def subset(namespace: Collection, names: Iterable[str]) -> Collection:
    """Return a namespace with these tasks alone, under the names that they have in the whole."""
    found = Names()
    for name in names:
        group = name.rpartition(".")[0]
        if group and group not in found.collections:
            found.add_collection(Names(group))
        (found.collections[group] if group else found).add_task(namespace[name])
    return found


def refuse(error: GangwayError) -> NoReturn:
    """Show a user's error and end Invoke with its status."""
    print(f"error: {error}", file=sys.stderr, flush=True)
    raise Exit(code=error.status) from None
