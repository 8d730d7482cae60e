"""An environment: which env files make it, and the value and origin of every variable.

Layers, highest first: command line, shell, the engine's (`env/engines/native.env` where services
run as local processes, `swarm.env` on several machines), `env/local.env` (development only), this
checkout's own settings (`.gangway/<name>.env`), stack, images, the environment's own file. All but
the first two are files that Compose gets with `--env-file`, lowest first, so that a command which
is printed here and pasted in a shell does exactly what a task does.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from gangway.base.errors import Finding, GangwayError, nearest, unknown
from gangway.settings import envfile

if TYPE_CHECKING:
    from gangway.base.process import Runner

Kind = Literal["dev", "test", "prod"]
Layer = Literal[
    "command line",
    "shell",
    "engine",
    "local",
    "checkout",
    "stack",
    "images",
    "environment",
    "default",
]

PRECEDENCE: Final[Mapping[Layer, str]] = {
    "command line": "the command line: `invoke dev.up -e LOG_LEVEL=info`",
    "shell": "the shell: `LOG_LEVEL=info invoke dev.up`",
    "engine": "the engine: `env/engines/native.env` without containers, `swarm.env` in a Swarm",
    "local": "`env/local.env`: your own settings, git-ignored, for development environments only",
    "checkout": "`.gangway/<environment>.env`: settings for this checkout only, git-ignored",
    "stack": "the stack: `stacks/<stack>/stack.env`",
    "images": "the image source: `env/images/<source>.env`",
    "environment": "the environment's own file: `env/<environment>.env`",
    "default": "the default in the Compose file",
}
"""Where a variable's value comes from: the first of these that sets it. Each with its text."""

# What ENVIRONMENT may be in an env file, and the rules that hold there: staging is production.
KINDS: Final[Mapping[str, Kind]] = {
    "development": "dev",
    "test": "test",
    "production": "prod",
    "staging": "prod",
}
DEFAULT_STACK: Final = "core"
STACK_FILE: Final = "stack.env"
DEFAULT_IMAGES: Final = "registry"
DEFAULT_ENGINE: Final = "auto"
NATIVE: Final = "native"
SWARM: Final = "swarm"
_NAMES_A_STACK: Final = re.compile(rb"^GANGWAY_STACK=.", re.MULTILINE)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
# Tasks that no environment has begin like this.
_TAKEN: Final = ("images",)
# Which engine the `docker` command talks to.
_WHERE: Final = ("DOCKER_HOST", "DOCKER_CONTEXT")
ENGINES: Final = (DEFAULT_ENGINE, "docker", "podman", NATIVE, SWARM)


class Variable(NamedTuple):
    """One variable's value and the layer that it came from; file and line for a file's layer."""

    name: str
    value: str
    layer: Layer
    file: str | None = None
    line: int | None = None

    @property
    def origin(self) -> str:
        """The place for people: `env/dev.env:12`, `shell`, `command line` or `default`."""
        return f"{self.file}:{self.line}" if self.file else self.layer


@dataclass(frozen=True)
class Environment:
    """An environment as loaded: its files, and the variables that they and the shell set.

    `files` are relative to `root`, lowest layer first. `variables` holds every name that a file
    or the command line sets, with the value that wins; `get` looks at the shell as well.
    `places` says for each name in a file where the highest file sets it (`file:line`), whatever
    wins in the end. `written` is what all files give, whatever shell and command line say, and
    `beneath` what those under the checkout's own layer give alone.
    """

    root: Path
    name: str
    kind: Kind
    stack: str
    images: str
    engine: str
    """What GANGWAY_ENGINE chose, one of ENGINES; auto means docker here."""
    files: tuple[str, ...]
    variables: Mapping[str, Variable]
    places: Mapping[str, str]
    written: Mapping[str, Variable] = field(repr=False)
    beneath: Mapping[str, str] = field(repr=False)
    overrides: Mapping[str, str]
    shell: Mapping[str, str] = field(repr=False)

    def variable(self, name: str) -> Variable | None:
        """Return the variable that Compose would use for `name`, None where nothing sets it."""
        if name in self.variables:
            return self.variables[name]
        return Variable(name, self.shell[name], "shell") if name in self.shell else None

    def get(self, name: str, default: str = "") -> str:
        """Return the value of `name`; `default` where nothing sets it."""
        found = self.variable(name)
        return default if found is None else found.value

    @property
    def profiles(self) -> tuple[str, ...]:
        """The Compose profiles that are on."""
        return words(self.get("COMPOSE_PROFILES"))

    @property
    def meant_for(self) -> tuple[str, ...]:
        """The kinds of environments that the stack is meant for."""
        return words(self.get("STACK_ENVIRONMENTS")) or tuple(dict.fromkeys(KINDS.values()))

    @property
    def apps(self) -> tuple[str, ...]:
        """The folders under `apps/` that make up the stack."""
        return words(self.get("STACK_APPS"))

    @property
    def optional(self) -> tuple[str, ...]:
        """The profiles of the services that the stack has for whoever asks for them by name."""
        return words(self.get("STACK_OPTIONAL"))

    @property
    def tests(self) -> tuple[str, ...]:
        """The services, each of a profile of its name, that test what pytest doesn't."""
        return words(self.get("STACK_TESTS"))

    @property
    def base(self) -> str:
        """The Compose file that the environment begins with: `docker-compose.yml`."""
        return self.compose_files[0]

    @property
    def separator(self) -> str:
        """What stands between the names in COMPOSE_FILE."""
        return self.get("COMPOSE_PATH_SEPARATOR") or os.pathsep

    @property
    def compose_files(self) -> list[str]:
        """The Compose files, base first, as COMPOSE_FILE names them."""
        return self.get("COMPOSE_FILE").split(self.separator)

    @property
    def env_files(self) -> list[str]:
        """The words that hand the environment's files to Compose, lowest layer first."""
        return [word for file in self.files for word in ("--env-file", file)]

    def compose_command(self, *args: str) -> list[str]:
        """Return the `docker compose` call with this environment; it must run in `root`."""
        return ["docker", "compose", *self.env_files, *args]

    @cached_property
    def runner(self) -> Runner:
        """Runs programs in the checkout with this environment's variables."""
        from gangway.base.process import Runner  # only what runs a program pays for it

        return Runner(self.root, self.process_environment())

    def process_environment(self) -> dict[str, str]:
        """Return the environment variables for that call: the shell's and the command line's."""
        return {**self.shell, **self.overrides}

    def plain(
        self,
        args: Sequence[str],
        *,
        cwd: Path | None = None,
        is_secret: Callable[[str], bool] | None = None,
    ) -> str:
        """Return a whole command (e.g. from `compose_command`) as a user can paste it.

        Values from the command line stand before it as assignments, of what `is_secret` as the
        shell's own variable; where `cwd` (default: the current directory) is not the checkout's
        root, `cd` comes first.
        """
        words = []
        for name, value in self.overrides.items():
            hidden = is_secret is not None and is_secret(name)
            words.append(f"{name}=" + (f'"${{{name}:?}}"' if hidden else shlex.quote(value)))
        command = " ".join([*words, shlex.join(args)])
        here = (cwd or Path.cwd()).resolve()
        root = self.root.resolve()
        if cwd is None and self._is_at_a_link(here):
            return f"cd {shlex.quote(str(root))} && {command}"
        if here == root:
            return command
        return f"cd {shlex.quote(os.path.relpath(root, here))} && {command}"

    def _is_at_a_link(self, here: Path) -> bool:
        """Say whether the shell knows the folder by a link: Compose takes its word for it."""
        named = self.shell.get("PWD", "")
        return named != str(here) and Path(named).is_absolute() and Path(named).resolve() == here


def load(
    root: Path,
    name: str,
    *,
    stack: str | None = None,
    images: str | None = None,
    engine: str | None = None,
    overrides: Mapping[str, str] | None = None,
    shell: Mapping[str, str] | None = None,
) -> Environment:
    """Return the environment `name` of the checkout at `root`.

    `stack`, `images` and `engine` are what the command line asks for; without them the variables
    GANGWAY_STACK, GANGWAY_IMAGES and GANGWAY_ENGINE decide, in any layer. `overrides` are the
    command line's `-e NAME=value`; `shell` is the process environment unless given. Raises
    GangwayError for an unknown name, or a file that is missing, unreadable or malformed.
    """
    known = environments(root)
    if name not in known:
        raise unknown("environment", name, known, where="env/")
    chosen = dict(overrides or {})
    outer = dict(os.environ if shell is None else shell)
    reader = _Reader(root, outer, chosen)

    base = f"env/{name}.env"
    kind = _kind(reader.assignments(base), base)
    upper = _upper_layers(name, kind)
    layers: dict[Layer, str] = {"environment": base}
    layers |= {layer: path for layer, path in upper.items() if (root / path).exists()}

    files = _ordered(layers)
    stack_name = stack or reader.value("GANGWAY_STACK", files) or DEFAULT_STACK
    if stack or stack_name != DEFAULT_STACK:
        _check_known("stack", stack_name, stacks(root), reader, "GANGWAY_STACK", files, stack)
    if stack_name != DEFAULT_STACK:
        layers["stack"] = stack_file(stack_name)
        files = _ordered(layers)
    images_name = images or reader.value("GANGWAY_IMAGES", files) or DEFAULT_IMAGES
    if images_name != DEFAULT_IMAGES:
        sources = image_sources(root)
        _check_known("image source", images_name, sources, reader, "GANGWAY_IMAGES", files, images)
        layers["images"] = f"env/images/{images_name}.env"
        files = _ordered(layers)

    engine_name = engine or reader.value("GANGWAY_ENGINE", files) or DEFAULT_ENGINE
    if engine_name not in ENGINES:
        raise unknown("engine", engine_name, ENGINES, where=None if engine else "GANGWAY_ENGINE")
    if engine_name in (NATIVE, SWARM):
        _check_engine(name, kind, engine_name)
        layers["engine"] = f"env/engines/{engine_name}.env"
        files = _ordered(layers)

    chosen |= _where(reader, files, outer, engine_name)

    # A choice made by an option must be what the variable says too, whatever a lower layer says.
    asked = (
        ("GANGWAY_ENGINE", engine, DEFAULT_ENGINE),
        ("GANGWAY_STACK", stack, DEFAULT_STACK),
        ("GANGWAY_IMAGES", images, DEFAULT_IMAGES),
    )
    chosen |= {
        variable: choice
        for variable, choice, default in asked
        if choice and (reader.value(variable, files) or default) != choice
    }
    return Environment(
        root=root,
        name=name,
        kind=kind,
        stack=stack_name,
        images=images_name,
        engine=engine_name,
        files=tuple(path for path, _ in files),
        variables=reader.resolve(files),
        places={
            assignment.name: assignment.where
            for path, _ in files
            for assignment in reader.assignments(path)
        },
        written=reader.merge(files),
        beneath={
            name: variable.value
            for name, variable in reader.merge(_beneath(files, "checkout")).items()
        },
        overrides=chosen,
        shell=outer,
    )


def _check_engine(name: str, kind: Kind, engine: str) -> None:
    """Refuse an engine that environments of that kind don't run on."""
    if engine == NATIVE and kind == "prod":
        raise GangwayError(
            f"{name} doesn't run natively: production's limits, users and networks are what a "
            "container engine enforces",
            fix="drop --engine native (GANGWAY_ENGINE=native): only dev and test run natively",
        )
    if engine == SWARM and kind != "prod":
        raise GangwayError(
            f"{name} doesn't run in a Swarm: only this machine has its sources",
            fix="drop --engine swarm (GANGWAY_ENGINE=swarm): only production runs in a Swarm",
        )


def words(value: str) -> tuple[str, ...]:
    """Return the names in a variable, which are separated by commas or blanks."""
    return tuple(value.replace(",", " ").split())


def environments(root: Path) -> list[str]:
    """Return the names of the checkout's environments: one for each `env/*.env` but local.env.

    Files whose name can't be a task's are `misnamed`.
    """
    return [name for name in _names(root / "env") if _is_name(name)]


def misnamed(root: Path) -> list[Finding]:
    """Return the env files in `env/` that are nobody's: their name can't begin a task's."""
    return [
        Finding(
            "this file is not read: the name of an environment is letters, digits, - and _, "
            f"and not {' or '.join(_TAKEN)}",
            f"env/{name}.env",
            "rename it; your own settings for development belong in env/local.env",
        )
        for name in _names(root / "env")
        if not _is_name(name) and name != "local"
    ]


def kind_of(root: Path, name: str) -> Kind:
    """Return the kind of an environment from its own file alone, without its other layers.

    Raises GangwayError where the file can't be read or doesn't say.
    """
    file = f"env/{name}.env"
    return _kind(_Reader(root, {}, {}).assignments(file), file)


def stacks(root: Path) -> list[str]:
    """Return the names of the stacks: one for each `stacks/*/stack.env`, and the default.

    Where each environment's own file names another, the default is none that anybody could want.
    """
    found = {path.parent.name for path in root.glob(stack_file("*"))}
    names = environments(root)
    if not names or not all(_names_a_stack(root / "env" / f"{name}.env") for name in names):
        found.add(DEFAULT_STACK)
    return sorted(found)


def stack_file(name: str) -> str:
    """Return the env file that adds a stack to an environment, seen from the checkout."""
    return f"stacks/{name}/{STACK_FILE}"


def image_sources(root: Path) -> list[str]:
    """Return the names of the image sources in `env/images/`."""
    return _names(root / "env" / "images")


def parse_overrides(words: Iterable[str]) -> dict[str, str]:
    """Return the command line's `NAME=value` words as a mapping; the last one of a name wins."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not envfile.NAME.fullmatch(name):
            raise GangwayError(
                f"-e {word!r} is not NAME=value", fix="write for example -e LOG_LEVEL=debug"
            )
        found[name] = value
    return found


def _is_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and name not in (*_TAKEN, "local")


def _names_a_stack(file: Path) -> bool:
    try:
        return bool(_NAMES_A_STACK.search(file.read_bytes()))
    except OSError:
        return False


def _names(directory: Path) -> list[str]:
    try:
        entries = list(directory.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise GangwayError(f"cannot list it: {error.strerror}", where=str(directory)) from None
    return sorted(
        entry.stem
        for entry in entries
        if entry.suffix == ".env" and not entry.name.startswith(".") and not entry.is_dir()
    )


def _where(
    reader: _Reader, files: Sequence[tuple[str, Layer]], shell: Mapping[str, str], engine: str
) -> dict[str, str]:
    """Return what has to be said of the engine's place: the command itself reads no env file."""
    found = {name: reader.value(name, files) for name in _WHERE if name not in shell}
    if engine == "podman" and not reader.value("DOCKER_HOST", files):
        runtime = shell.get("XDG_RUNTIME_DIR") if os.geteuid() else None
        found["DOCKER_HOST"] = f"unix://{runtime or '/run'}/podman/podman.sock"
    return {name: value for name, value in found.items() if value}


def _upper_layers(name: str, kind: Kind) -> dict[Layer, str]:
    layers: dict[Layer, str] = {"checkout": f".gangway/{name}.env"}
    if kind == "dev":
        layers["local"] = "env/local.env"
    return layers


def _ordered(layers: Mapping[Layer, str]) -> list[tuple[str, Layer]]:
    """Return the layers' files by precedence, lowest first, as Compose gets them."""
    return [(layers[layer], layer) for layer in reversed(list(PRECEDENCE)) if layer in layers]


def _beneath(files: Iterable[tuple[str, Layer]], layer: Layer) -> list[tuple[str, Layer]]:
    """Return those of the files that any variable of this layer comes before."""
    order = list(PRECEDENCE)
    return [found for found in files if order.index(found[1]) > order.index(layer)]


def _kind(assignments: Iterable[envfile.Assignment], file: str) -> Kind:
    # The file alone decides, not the shell: `ENVIRONMENT=development` in somebody's profile must
    # not switch off the rules of production.
    choices = ", ".join(KINDS)
    for assignment in assignments:
        if assignment.name == "ENVIRONMENT":
            value = assignment.template
            if value in KINDS:
                return KINDS[value]
            guess = nearest(value, KINDS)
            raise GangwayError(
                f"ENVIRONMENT is {value!r}",
                where=assignment.where,
                fix=f"did you mean {guess}? ({choices})" if guess else f"one of {choices}",
            )
    raise GangwayError(
        "ENVIRONMENT is not set here", where=file, fix=f"add ENVIRONMENT= and one of {choices}"
    )


def _check_known(
    kind: str,
    value: str,
    known: Sequence[str],
    reader: _Reader,
    variable: str,
    files: Sequence[tuple[str, Layer]],
    option: str | None,
) -> None:
    if value in known:
        return
    origin = None if option else reader.resolve(files, partly=True).get(variable)
    where = origin.origin if origin else None if option else "shell"
    raise unknown(kind, value, known, where=where)


class _Reader:
    """Reads env files once each and computes values over any selection of them."""

    def __init__(self, root: Path, shell: Mapping[str, str], overrides: Mapping[str, str]) -> None:
        self._root = root
        self._shell = shell
        self._overrides = overrides
        self._parsed: dict[str, list[envfile.Assignment]] = {}

    def assignments(self, file: str) -> list[envfile.Assignment]:
        """Return the assignments of one file, relative to the root."""
        if file not in self._parsed:
            try:
                data = (self._root / file).read_bytes()
            except OSError as error:
                raise GangwayError(
                    f"cannot read it: {error.strerror}", where=file, fix=f"ls -l {file}"
                ) from None
            self._parsed[file] = envfile.parse(data, file)
        return self._parsed[file]

    def value(self, name: str, files: Sequence[tuple[str, Layer]]) -> str | None:
        """Return the value that the layers give one variable, None where none sets it."""
        if name in self._overrides:
            return self._overrides[name]
        if name in self._shell:
            return self._shell[name]
        found = self.resolve(files, partly=True).get(name)
        return found.value if found else None

    def resolve(
        self, files: Sequence[tuple[str, Layer]], *, partly: bool = False
    ) -> dict[str, Variable]:
        """Return every variable that the files (lowest first) or the command line set.

        `partly` leaves out what refers to a variable that is not set: a layer that sets it may
        still be missing from `files`.
        """
        merged = self.merge(files, partly=partly)
        for name in merged:
            if name in self._shell:
                merged[name] = Variable(name, self._shell[name], "shell")
        for name, value in self._overrides.items():
            merged[name] = Variable(name, value, "command line")
        return merged

    def merge(
        self, files: Sequence[tuple[str, Layer]], *, partly: bool = False
    ) -> dict[str, Variable]:
        """Return what the files alone set; the shell only answers references in them."""
        outer = {**self._shell, **self._overrides}
        merged: dict[str, Variable] = {}
        for position, (file, layer) in enumerate(files):
            own: dict[str, Variable] = {}
            for assignment in self.assignments(file):
                try:
                    value = assignment.value(_lookup(outer, merged, own, assignment))
                except envfile.UnsetError as error:
                    if partly:
                        continue
                    raise self._with_later_place(error, files[position:]) from None
                own[assignment.name] = Variable(
                    assignment.name, value, layer, file, assignment.line
                )
            merged.update(own)
        return merged

    def _with_later_place(
        self, error: envfile.UnsetError, files: Sequence[tuple[str, Layer]]
    ) -> GangwayError:
        # "Not set" puzzles somebody who did set it, only further up.
        for file, _ in files:
            for assignment in self.assignments(file):
                if assignment.name == error.name:
                    return GangwayError(
                        f"{error.message}; {assignment.where} sets it, which is read later",
                        where=error.where,
                        fix=f"set {error.name} in a lower layer or in the shell",
                    )
        return error


def _lookup(
    outer: Mapping[str, str],
    lower: Mapping[str, Variable],
    own: Mapping[str, Variable],
    place: envfile.Assignment,
) -> envfile.Lookup:
    def look(name: str) -> str | None:
        if name in outer:
            return outer[name]
        if name in own and name in lower and own[name].value != lower[name].value:
            # Compose up to 2.26 takes the lower file's value here, later versions this file's.
            raise GangwayError(
                f"{place.name} refers to {name}, which this file and {lower[name].origin} both set",
                where=place.where,
                fix=f"write the value of {name} out; Compose versions differ in which one counts",
            )
        found = own.get(name) or lower.get(name)
        return found.value if found else None

    return look
