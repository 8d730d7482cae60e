"""`gangway add`: one service more in a stack, as text at the end of each of its files.

What the files have stays as it is, comments and layout included. The stack is rendered first as it
would be, in a copy: it is changed in all of its files, or in none.
"""

from __future__ import annotations

import difflib
import re
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from gangway.base import output
from gangway.base.errors import Finding, FindingsError, GangwayError
from gangway.base.process import interrupts_later
from gangway.model.model import Model
from gangway.model.render import render
from gangway.operations.adoption import parts, starter
from gangway.operations.adoption.appending import with_entry, with_profile, with_setting
from gangway.operations.adoption.parts import Anchors, Beside, Fields, Port
from gangway.operations.adoption.replacing import replace
from gangway.settings import contract, contract_check, environment
from gangway.settings.environment import DEFAULT_STACK, NATIVE, Environment

# As Compose takes names of services and of profiles, and a contract the variables made of them.
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]+")
# A checkout's own, and its history: neither is merged.
_NOT_COPIED: Final = ("stacks", ".gangway", ".git")
# The least and the most of each field of a cron line, as scripts/cron has them, and its names.
_FIELDS: Final = (
    (0, 59, ""), (0, 23, ""), (1, 31, ""),
    (1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"),
    (0, 7, "sun mon tue wed thu fri sat"),
)  # fmt: skip
_NICKNAMES: Final = ("@hourly", "@daily", "@weekly", "@monthly", "@yearly")
_RUNNER: Final = "test-runner"


class Entry(NamedTuple):
    """A piece of text for a YAML file of the stack, and the keys that it goes below."""

    file: str
    path: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Addition:
    """One service more: what goes into each of the stack's files.

    `settings` are variables of stack.env with their values, and what to say above each; `specs`
    what the contract says of the service's variables.
    """

    name: str
    entries: Sequence[Entry]
    settings: Mapping[str, tuple[str, str]]
    specs: Sequence[tuple[str, Fields]]


@dataclass(frozen=True)
class Stack:
    """A stack's folder, and the environments that it is meant for, in containers and natively.

    Of several that the same files make, as production and staging, the first one.
    """

    root: Path
    name: str
    environments: Sequence[Environment]
    native_ones: Sequence[Environment]

    @property
    def folder(self) -> str:
        """The folder, seen from the root."""
        return f"stacks/{self.name}"

    @property
    def base(self) -> str:
        """The Compose file that has the api."""
        return self.environments[0].base

    @property
    def native(self) -> str:
        """The stack's file for services without containers, as it is called in its folder."""
        return self.environments[0].get("STACK_NATIVE").removeprefix(f"{self.folder}/")

    def text(self, name: str) -> str:
        """Return a file of the folder, empty where it isn't there."""
        path = self.root / self.folder / name
        # As bytes: the line ends stay what they are.
        return path.read_bytes().decode() if name and path.exists() else ""

    def models(self) -> list[Mapping[str, Any]]:
        """Return the services of each environment's model, the native ones last, all turned on."""
        with ThreadPoolExecutor(max_workers=4) as pool:
            every = (*self.environments, *self.native_ones)
            return [model.services for model in pool.map(_rendered, every)]

    def faults(self) -> list[Finding]:
        """Return what is wrong with the environments by the contract."""
        known = contract.load(self.root)
        return [
            finding
            for each in self.environments
            for finding in contract_check.check(each, known, secrets=False)
        ]


def _rendered(each: Environment) -> Model:
    return render(each, "--profile", "*")


def top(folder: Path) -> Path:
    """Return the nearest folder, this one or one that it is in, with Gangway's files.

    Raises GangwayError where there is none.
    """
    for found in (folder, *folder.parents):
        if (found / contract.FILE).exists():
            return found
    raise GangwayError(f"Gangway isn't in {folder}", fix="gangway adopt")


def opened(root: Path, name: str | None = None) -> Stack:
    """Return a stack of the repository at `root`: that of its environments where none is named.

    Raises GangwayError for the default stack, whose services stand in the base files, and as
    `gangway.settings.environment.load` does.
    """
    loaded = [
        environment.load(root, each, stack=name, engine="docker")
        for each in environment.environments(root)
    ]
    meant = [each for each in loaded if each.kind in each.meant_for]
    if not meant or meant[0].stack == DEFAULT_STACK:
        others = [each for each in environment.stacks(root) if each != DEFAULT_STACK]
        raise GangwayError(
            f"nothing is added to the {DEFAULT_STACK} stack: it is what all others begin with",
            fix=" or ".join(f"--stack {each}" for each in others),
        )
    different = list({each.get("COMPOSE_FILE"): each for each in reversed(meant)}.values())[::-1]
    native_ones = [
        environment.load(root, each.name, stack=name, engine=NATIVE)
        for each in different
        if each.kind != "prod"
    ]
    return Stack(root, meant[0].stack, different, native_ones)


def celery(stack: Stack, what: str) -> str:
    """Return the command of a Celery `worker` or `beat`, as the stack has a worker already.

    Raises GangwayError where it has none.
    """
    first = stack.environments[0]
    for name, variable in first.variables.items():
        words = variable.value.split() if name.endswith("_COMMAND") else []
        if "worker" in words and any(Path(word).name == "celery" for word in words):
            before = words[: words.index("worker")]
            return variable.value if what == "worker" else " ".join([*before, what])
    raise GangwayError(
        f"the {stack.name} stack doesn't say how a {what} is started",
        fix=f"--command 'celery -A {stack.name} {what} --loglevel=info', for example",
    )


def schedule(text: str) -> str:
    """Return when a cron line runs: five fields, or a nickname; raises GangwayError for others."""
    words = text.lower().split()
    if words and words[0] in _NICKNAMES and len(words) == 1:
        return words[0]
    if len(words) != len(_FIELDS) or not all(
        _is_field(word, *meaning) for word, meaning in zip(words, _FIELDS, strict=True)
    ):
        raise GangwayError(
            f"{text!r} is no time as cron has it",
            fix="minute, hour, day of the month, month, day of the week: '0 3 * * *' is at three; "
            f"or one of {', '.join(_NICKNAMES)}",
        )
    return " ".join(words)


def _is_field(text: str, low: int, high: int, names: str) -> bool:
    for part in text.split(","):
        found = re.fullmatch(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([1-9]\d*))?", part)
        if not found:
            return False
        words = [word for word in found.groups()[:2] if word]
        # The names' numbers are in their order; which they are doesn't matter here.
        known = [str(number) for number in range(low, high + 1)]
        if not all(word in known or word in names.split() for word in words):
            return False
        if all(word.isdecimal() for word in words) and words != sorted(words, key=int):
            return False
    return True


def program(stack: Stack, beside: Beside) -> Addition:
    """Return what a program of the app is, beside the api: its image, and another command."""
    text = stack.text("compose.yml")
    anchors = Anchors(
        *(bool(re.search(rf"&{name}\s", text)) for name in ("app", "app-environment", "needs"))
    )
    entries = [_service("compose.yml", parts.program(beside, stack.base, anchors))]
    for overlay in ("dev", "test"):
        file = f"{stack.base.removesuffix('.yml')}.{overlay}.yml"
        entries.append(_service(f"{overlay}.yml", parts.overlay(beside.name, file)))
    settings = {f"{beside.prefix}_COMMAND": (beside.command, f"What the {beside.name} runs")}
    if beside.schedule:
        about = f"When {beside.name} runs: minute, hour, day of the month, month, day of the week"
        settings[f"{beside.prefix}_SCHEDULE"] = (beside.schedule, about)
    return Addition(beside.name, entries, settings, list(parts.specs(beside)))


def container(stack: Stack, name: str, image: str, port: int | None = None) -> Addition:
    """Return what a container of another image is; `port` is published in development."""
    if not re.search(r"[:@][^/]+$", image):
        raise GangwayError(
            f"{image} doesn't say which version: it would be another one some day",
            fix=f"--image {image}:VERSION",
        )
    prefix = parts.variable(name)
    limits = parts.limits(prefix, pids="200")
    head = [f"  {name}:", f"    image: {image}", f"    profiles: [{name}]"]
    own = [line.replace(" !override", "") for line in parts.contained(limits)]
    local = parts.local(name)
    needs = f"{name}: {{condition: service_started, required: false}}"
    native = stack.native or "native.yml"
    entries = [
        _service("compose.yml", "\n".join([*head, *own])),
        _service("test.yml", local),
        Entry("test.yml", ("services", _RUNNER, "depends_on"), needs),
        _service(native, parts.not_native(name)),
    ]
    specs = list(parts.limit_specs(prefix, name))
    if port is not None:
        variable, number = f"PUBLISHED_{prefix}_PORT", _free_port(stack, port)
        local += parts.published(Port(variable, number, port))
        fields = parts.port_fields(name, {"dev": number}, f"Port {port} of {name}", name)
        specs.insert(0, (variable, fields))
    entries.insert(1, _service("dev.yml", local))
    settings = {}
    if not stack.native:
        settings["STACK_NATIVE"] = (f"{stack.folder}/{native}", "What is different natively")
    return Addition(name, entries, settings, specs)


def add(stack: Stack, addition: Addition, *, dry_run: bool = False) -> None:
    """Put a service into a stack's files; a dry run prints what would differ.

    Raises GangwayError, nothing written, for a name that is taken or refused, and where Compose or
    the contract refuse what would come of it.
    """
    _refuse_name(addition.name)
    before = {
        name: stack.text(name)
        for name in dict.fromkeys(
            [*(entry.file for entry in addition.entries), "stack.env", "contract.yml"]
        )
    }
    after = _edited(stack, addition, before)
    lacking = _checked(stack, addition, before, after)
    if dry_run:
        for name in after:
            print(_difference(f"{stack.folder}/{name}", before[name], after[name]), end="")
        return
    with interrupts_later():
        for name, text in after.items():
            replace(stack.root / stack.folder / name, text.encode())
    print(output.table([("changed", f"{stack.folder}/{name}") for name in after]))
    if lacking:
        has = ", ".join(lacking)
        output.say(f"the api also has {has}: what {addition.name} needs of it, put in compose.yml")
    output.say(f"start it: {_up(stack)} {addition.name}")


def _service(file: str, block: str) -> Entry:
    return Entry(file, ("services",), textwrap.dedent(block))


def _free_port(stack: Stack, port: int) -> int:
    """Return the port on this machine for one of a container: the same, or the next free one."""
    published = contract.load(stack.root).published(stack.name)
    used = {spec.default_for("dev") for spec in published}
    used |= {each.get(spec.name) for spec in published for each in stack.environments}
    number = port if port >= 1024 else port + 8000
    while str(number) in used:
        number += 1
    return number


def _refuse_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise GangwayError(
            f"{name!r} can't be a service's name",
            fix="take small letters, digits and hyphens, a letter first: mail, worker-2",
        )


def _refuse_taken(stack: Stack, addition: Addition, models: Iterable[Mapping[str, Any]]) -> None:
    name = addition.name
    if any(name in services for services in models):
        raise GangwayError(f"the {stack.name} stack has a {name} already", fix="take another name")
    known = contract.load(stack.root).variables
    for variable, _ in addition.specs:
        if variable in known:
            raise GangwayError(
                f"{variable} is a variable already ({known[variable].meaning})",
                fix=f"take another name than {name}",
            )


def _edited(stack: Stack, addition: Addition, texts: Mapping[str, str]) -> dict[str, str]:
    """Return the files of the stack as they will be."""
    found = dict(texts)
    for file, path, text in addition.entries:
        where = f"{stack.folder}/{file}"
        apart = path == ("services",)
        found[file] = with_entry(found[file], path, text, file=where, apart=apart)
    where = f"{stack.folder}/stack.env"
    found["stack.env"] = with_profile(found["stack.env"], addition.name, file=where)
    for name, (value, about) in addition.settings.items():
        found["stack.env"] = with_setting(found["stack.env"], name, value, about)
    where = f"{stack.folder}/contract.yml"
    group = _group(found["contract.yml"]) or f"The {stack.name} stack"
    for name, fields in addition.specs:
        text = textwrap.dedent(parts.spec(name, fields))
        found["contract.yml"] = with_entry(
            found["contract.yml"], ("groups", group), text, file=where
        )
    return found


def _group(text: str) -> str | None:
    """Return the first group of a stack's contract."""
    groups = (yaml.safe_load(text) or {}).get("groups") or {}
    return next(iter(groups), None)


def _checked(
    stack: Stack, addition: Addition, before: Mapping[str, str], after: Mapping[str, str]
) -> list[str]:
    """Return the variables and secrets that the api has and the new service, of its image, hasn't.

    Raises GangwayError where the files can't be as they are after.
    """
    name = addition.name
    with _copy(stack, tuple(after)) as put:
        models, faults = _tried(put(before))
        _refuse_taken(stack, addition, models)
        services, more = _tried(put(after))
    more = [each for each in more if each not in faults]
    if more:
        raise FindingsError(more, summary="nothing was added")
    for was, now in zip(models, services, strict=True):
        for each in was:
            if each != _RUNNER and was[each] != now[each]:
                raise GangwayError(
                    f"nothing was added: {each} would change with it, by how {stack.folder} is "
                    "written",
                    fix=f"add {name} by hand: gangway add … --dry-run shows the text",
                )
    return _lacking(services[0], name)


def _tried(stack: Stack) -> tuple[list[Mapping[str, Any]], list[Finding]]:
    """Return the models of a copy, and what is wrong with its variables."""
    try:
        return stack.models(), stack.faults()
    except GangwayError as error:
        # What mends it is said of the copy, which goes.
        found = [each._replace(fix=None) for each in error.findings]
        raise FindingsError(found, summary="nothing was added") from None


def _lacking(services: Mapping[str, Any], name: str) -> list[str]:
    api, own = services.get("api", {}), services[name]
    if own.get("image") != api.get("image"):
        return []
    secrets = {each["source"] for each in own.get("secrets") or ()}
    return [
        *(each for each in api.get("environment") or () if each not in own["environment"]),
        *(each["source"] for each in api.get("secrets") or () if each["source"] not in secrets),
    ]


@contextmanager
def _copy(stack: Stack, names: Sequence[str]) -> Iterator[Callable[[Mapping[str, str]], Stack]]:
    """Give what makes the stack of other texts, in a copy of its repository that links make.

    `names` are the files of the stack's folder that the texts are of.
    """
    with tempfile.TemporaryDirectory(prefix="gangway-") as folder:
        root = Path(folder)
        _link(stack.root, root, _NOT_COPIED)
        _link(stack.root / "stacks", root / "stacks", (stack.name,))
        _link(stack.root / stack.folder, root / stack.folder, names)

        def put(texts: Mapping[str, str]) -> Stack:
            for name, text in texts.items():
                if text:
                    (root / stack.folder / name).write_bytes(text.encode())
            return opened(root, stack.name)

        yield put


def _link(source: Path, target: Path, without: Sequence[str]) -> None:
    target.mkdir(exist_ok=True)
    for entry in source.iterdir():
        if entry.name not in without:
            (target / entry.name).symlink_to(entry)


def _difference(file: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), file, file
    )
    return "".join(lines)


def _up(stack: Stack) -> str:
    """Return the command that starts services of the stack."""
    adopted = (stack.root / starter.LOCK).exists()
    invoke = starter.read_lock(stack.root).names.invoke if adopted else "invoke"
    first = stack.environments[0].name
    own = environment.load(stack.root, first).stack
    return f"{invoke} {first}.up" + ("" if own == stack.name else f" --stack {stack.name}")
