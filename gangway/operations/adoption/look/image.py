"""What an existing Dockerfile says about an app: Python, packages, build steps, variables, port."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look.dockerfile import Dockerfile, Instruction, Stage, pairs, parse
from gangway.operations.adoption.look.programs import is_waiting, job, unwrapped
from gangway.operations.adoption.look.shell import Command, commands, substituted, words_of
from gangway.operations.adoption.look.tree import Tree, join, parent, within

_PYTHON = re.compile(
    r"(?:.*/)?(?:python:(?P<tag>\d[\w.]*)|[\w./:-]*?\bpython-?:?(?P<version>3\.\d+)\b)"
)
_NODE = re.compile(r"(?:.*/)?(?:node|bun|deno|pnpm)(?::|$)")

# Tools of a Dockerfile and its entrypoint, for which the images have what they need.
_TOOLS = frozenset(
    {
        "apt-transport-https", "apt-utils", "bash", "bash-completion", "ca-certificates", "curl",
        "dirmngr", "dumb-init", "gnupg", "gnupg2", "gosu", "less", "locales", "lsb-release",
        "nano", "nc", "ncat", "netcat", "netcat-openbsd", "netcat-traditional", "openssh-client",
        "procps", "software-properties-common", "ssh", "sudo", "tini", "unzip", "vim",
        "wait-for-it", "wget", "python3", "python3-pip", "python3-venv", "python3-dev",
        "python-dev", "python3-setuptools", "python3-wheel", "nodejs", "npm", "yarn",
    }
)  # fmt: skip
_COMPILERS = frozenset(
    {
        "build-essential", "gcc", "g++", "make", "cmake", "pkg-config", "git", "rustc", "cargo",
        "clang", "autoconf", "automake", "libtool", "patch", "swig",
    }
)  # fmt: skip
# What a development package is for, when the app runs.
_AT_RUN_TIME = {
    "libpq-dev": "libpq5", "libffi-dev": "libffi8", "libxml2-dev": "libxml2",
    "libxslt1-dev": "libxslt1.1", "libxslt-dev": "libxslt1.1", "libjpeg-dev": "libjpeg62-turbo",
    "libjpeg62-turbo-dev": "libjpeg62-turbo", "zlib1g-dev": "zlib1g",
    "libmagic-dev": "libmagic1", "libcairo2-dev": "libcairo2",
    "libpango1.0-dev": "libpango-1.0-0", "libldap2-dev": "libldap2",
    "libsasl2-dev": "libsasl2-2", "libssl-dev": "", "libbz2-dev": "", "liblzma-dev": "",
    "libsqlite3-dev": "", "libreadline-dev": "", "libncurses5-dev": "", "libncurses-dev": "",
    "libc6-dev": "", "libc-dev": "", "musl-dev": "", "libyaml-dev": "libyaml-0-2",
    "libxmlsec1-dev": "libxmlsec1-openssl",
}  # fmt: skip

# What a RUN may do without a word: it prepares an image that is Gangway's affair here.
_SILENT = frozenset(
    {
        "rm", "mkdir", "chown", "chmod", "groupadd", "useradd", "addgroup", "adduser", "usermod",
        "groupmod", "set", "echo", "true", ":", "touch", "find", "export", "ldconfig", "pip",
        "pip3", "uv", "poetry", "pipenv", "pdm", "rye", "corepack", "cd", "ls", "cat", "test",
        "[", "virtualenv", "env", "install-php-extensions", "which", "printf", "pwd", "sync",
        "dpkg-reconfigure", "update-ca-certificates", "locale-gen", "flake8", "black", "isort",
        "ruff", "mypy", "pylint", "djlint", "exit", "else", "fi", "if", "done", "hash",
        "dos2unix",
    }
)  # fmt: skip
# What may do so as well, by what it is told.
_SILENT_IF = (
    (("python", "python3"), r"^python3? -m (pip|venv|ensurepip|compileall)\b"),
    (("sed",), r"\\r"),
    (("ln", "cp", "mv"), r"poetry|entrypoint|/usr/local/bin|/start"),
    (("curl", "wget"), r"poetry|astral|/uv/|pdm|nodesource|pyenv"),
)
_IGNORED_ENV = re.compile(
    r"PYTHON(UNBUFFERED|DONTWRITEBYTECODE|PATH|FAULTHANDLER|HASHSEED|IOENCODING|OPTIMIZE)"
    r"|PATH|HOME|USER|SHELL|TERM|LANG|LANGUAGE|LC_\w+|DEBIAN_FRONTEND|VIRTUAL_ENV|VIRTUALENV"
    r"|(PIP|UV|POETRY|PIPENV|PDM|NPM|YARN|PNPM|NODE|APT|DOCKER|BUILDKIT|GUNICORN|UVICORN|WEB)_\w+|APP_HOME|APPDIR"
    r"|APP_DIR|APP_PATH|WORKDIR|PORT|HOST|APP_UID|APP_GID|UID|GID|WATCHFILES_FORCE_POLLING|LD_LIBRARY_PATH"
)
_FUNCTION = re.compile(
    r"^(?:function\s+)?(?P<name>[\w-]+)\s*\(\)\s*\{\n(?P<body>.*?)^\}", re.MULTILINE | re.DOTALL
)


@dataclass
class Image:
    """What a Dockerfile makes, for the stage that runs the app."""

    path: str
    python: tuple[str, str] | None = None
    """The version, and its place."""
    build_packages: list[str] = field(default_factory=list)
    run_packages: list[str] = field(default_factory=list)
    packages_where: str = ""
    environment: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Variables of the app: value and place."""
    python_path: list[str] = field(default_factory=list)
    """Folders of the repository on PYTHONPATH."""
    port: tuple[int, str] | None = None
    healthcheck: tuple[str, str] | None = None
    """The command of HEALTHCHECK, and its place."""
    workdir: str | None = None
    """The working directory, as a folder of the repository."""
    started: list[tuple[Command, str]] = field(default_factory=list)
    """What the container runs, wrappers taken off, each command with its place."""
    steps: list[tuple[Command, str]] = field(default_factory=list)
    """Steps of the build that are the app's own: collectstatic."""
    assets: list[tuple[str, Command, str]] = field(default_factory=list)
    """What Node builds: folder, command, place."""
    requirements: list[str] = field(default_factory=list)
    """Requirements files that are installed."""
    losses: list[Loss] = field(default_factory=list)
    entrypoint: tuple[str, ...] = ()
    volumes: list[tuple[str, str]] = field(default_factory=list)
    """The folders of the image that are volumes, with their places."""
    reader: _Reader | None = field(default=None, repr=False)

    def holds(self, path: str) -> bool:
        """Say whether a file of the repository is in it; so is any where nothing is copied."""
        folders = [mine for _, mine in self.reader.copies] if self.reader else []
        whole = (
            [mine for mine in folders if not mine or mine in self.reader.tree.folders]
            if self.reader
            else []
        )
        if not whole and self.reader is not None:
            return within(self.reader.context, path)
        return any(within(mine, path) for mine in folders)

    def runs(
        self, entrypoint: tuple[str, ...] | None, command: tuple[str, ...], place: str
    ) -> list[tuple[Command, str]]:
        """Return what a container of it runs where somebody else says with what.

        None for the entrypoint is the image's own.
        """
        if self.reader is None:
            return []
        first = self.entrypoint if entrypoint is None else entrypoint
        return self.reader.started(first, command, place)


def read_image(
    tree: Tree, path: str, *, context: str | None = None, target: str = ""
) -> Image | None:
    """Return what a Dockerfile says, None where it isn't one of a Python app.

    `context` is the build's folder, guessed from what is copied where it isn't known.
    """
    file = parse(tree.text(path), path)
    stage = file.stage(target) or file.stage("")
    if stage is None:
        return None
    if not _is_python(file, stage):
        return None
    if context is None:
        context = _context(tree, file)
    return _Reader(tree, file, stage, context).read()


def is_python(text: str, path: str, target: str = "") -> bool:
    """Say whether a Dockerfile's stage has Python in it."""
    file = parse(text, path)
    stage = file.stage(target)
    return stage is not None and _is_python(file, stage)


def base_image(text: str, path: str, target: str = "") -> str:
    """Return the image that a Dockerfile's stage is built on."""
    file = parse(text, path)
    stage = file.stage(target)
    return file.image(stage) if stage else ""


def _is_python(file: Dockerfile, stage: Stage) -> bool:
    if _PYTHON.match(file.image(stage)):
        return True
    # Debian or the like, with Python put in.
    return any(
        re.search(r"\bpython3?\b|\bpip3?\b|\buv sync\b", each.text)
        for one in file.lineage(stage)
        for each in one.of("RUN")
    )


def _context(tree: Tree, file: Dockerfile) -> str:
    """Guess the folder of the build: where most of what is copied is."""
    sources = [
        word
        for stage in file.stages
        for each in stage.of("COPY", "ADD")
        if not each.flag("from")
        for word in _copied(each)[0]
    ]
    here, scores = parent(file.path), {}
    for folder in dict.fromkeys((here, "")):
        scores[folder] = sum(
            tree.has(join(folder, each)) or join(folder, each) in tree.folders
            for each in sources
            if each.strip("./")
        )
    return max(scores, key=lambda folder: scores[folder])


def _copied(instruction: Instruction) -> tuple[list[str], str]:
    words = list(instruction.words or words_of(re.sub(r"\\\n", " ", instruction.text)))
    return (words[:-1], words[-1]) if len(words) > 1 else ([], "")


class _Reader:
    """Reads one Dockerfile for one stage."""

    def __init__(self, tree: Tree, file: Dockerfile, stage: Stage, context: str) -> None:
        self.tree, self.file, self.stage, self.context = tree, file, stage, context
        self.image = Image(file.path)
        self.lineage = file.lineage(stage)
        self.values = file.values(stage)
        self.copies = list(self._copies())

    def read(self) -> Image:
        self._python()
        names = {each.name for each in self.lineage}
        builders = self.file.sources(self.stage) - names
        for stage in self.file.stages:
            own = stage in self.lineage
            if not own and stage.name not in builders:
                continue
            if _NODE.match(self.file.image(stage)):
                self._node(stage)
            elif _is_python(self.file, stage) or own:
                self._stage(stage, own=own)
        self._start()
        return self.image

    def _at(self, line: int) -> str:
        return f"{self.file.path}:{line}"

    def _python(self) -> None:
        bottom = self.lineage[0]
        for stage in (bottom, *self.file.stages):
            match = _PYTHON.match(self.file.image(stage))
            if match:
                version = match["version"] or re.sub(r"[^\d.].*", "", match["tag"])
                self.image.python = version.strip("."), self._at(stage.line)
                return

    # -- where things of the image are in the repository ------------------------------------------

    def _copies(self) -> Iterator[tuple[str, str]]:
        """Yield folders and files of the image with what they are in the repository."""
        folder = "/"
        chain = [
            each for each in self.file.stages if each in self.lineage or self._copied_whole(each)
        ]
        for stage in chain:
            for each in stage.instructions:
                text = substituted(each.text, self.values)
                if each.name == "WORKDIR":
                    folder = join(folder, text) if not text.startswith("/") else join(text)
                elif each.name in ("COPY", "ADD") and not each.flag("from"):
                    sources, target = _copied(Instruction(each.name, text, each.line))
                    for source in sources:
                        yield self._copied_to(folder, source, target, alone=len(sources) == 1)

    def _copied_whole(self, stage: Stage) -> bool:
        """Say whether a stage is one that the app's folder is copied from."""
        return stage.name in self.file.sources(self.stage) and _is_python(self.file, stage)

    def _copied_to(self, folder: str, source: str, target: str, *, alone: bool) -> tuple[str, str]:
        mine = join(self.context, source.lstrip("/"))
        there = target if target.startswith("/") else join(folder, target)
        whole = mine in self.tree.folders
        if not whole and (target.endswith("/") or target in (".", "./") or not alone):
            there = join(there, source.rpartition("/")[2])
        return join(there), mine

    def in_repository(self, path: str) -> str | None:
        """Return what a path of the image is in the repository."""
        best: tuple[int, str] | None = None
        for there, mine in self.copies:
            if path == there or path.startswith(there.rstrip("/") + "/"):
                found = join(mine, path[len(there) :].lstrip("/"))
                known = self.tree.has(found) or found in self.tree.folders
                if known and (best is None or len(there) >= best[0]):
                    best = len(there), found
        return best[1] if best else None

    # -- instructions -----------------------------------------------------------------------------

    def _stage(self, stage: Stage, *, own: bool) -> None:
        values, folder = self.file.values(stage), "/"
        for each in stage.instructions:
            if each.name == "WORKDIR":
                folder = substituted(each.text, values)
            elif each.name == "RUN":
                self._run(each, values, own=own)
            elif own:
                self._said(each, values)
        if own:
            self.image.workdir = self.in_repository(join(folder)) if folder != "/" else None

    def _said(self, instruction: Instruction, values: Mapping[str, str]) -> None:
        """Take in what an instruction says of the container, or what it copies from elsewhere."""
        text, where = substituted(instruction.text, values), self._at(instruction.line)
        if instruction.name == "EXPOSE" and (match := re.match(r"\d+", text)):
            self.image.port = int(match[0]), where
        elif instruction.name == "ENV":
            self._environment(instruction, values)
        elif instruction.name == "HEALTHCHECK":
            self.image.healthcheck = text, where
        elif instruction.name == "VOLUME":
            self.image.volumes += [(word, where) for word in instruction.words or text.split()]
        elif instruction.name == "COPY" and (other := instruction.flag("from")):
            self._from_elsewhere(instruction, other)

    def _from_elsewhere(self, instruction: Instruction, name: str) -> None:
        if self.file.stage(name) or re.search(r"astral-sh/uv|/uv\b", name):
            return
        self._lose(
            f"COPY --from={name} {' '.join(instruction.text.split())}",
            instruction.line,
            "add it to docker/app.Dockerfile, or as a Debian package to API_RUN_PACKAGES",
        )

    def _environment(self, instruction: Instruction, values: Mapping[str, str]) -> None:
        for name, value in pairs(instruction):
            text = substituted(value or "", values)
            if name == "PYTHONPATH":
                for part in text.split(":"):
                    found = self.in_repository(part) if part.startswith("/") else None
                    if found is not None and found not in self.image.python_path:
                        self.image.python_path.append(found)
            elif not _IGNORED_ENV.fullmatch(name):
                self.image.environment[name] = text, self._at(instruction.line)

    def _run(self, instruction: Instruction, values: Mapping[str, str], *, own: bool) -> None:
        text, extra = instruction.text, 0
        if instruction.body and re.match(r"<<", text):
            text, extra = instruction.body, 1
        elif words := instruction.words:
            text = " ".join(words[2:]) if words[:2] == ("/bin/sh", "-c") else " ".join(words)
        pipes: list[list[Command]] = [[]]
        for command in commands(text, values):
            for one in unwrapped(command, values):
                pipes[-1] += [replace(inner, line=command.line) for inner in self._of_script(one)]
            if not command.piped:
                pipes.append([])
        steps = any(
            (known := job(each)) and known.kind == "collect" for pipe in pipes for each in pipe
        )
        for pipe in filter(None, pipes):
            line = instruction.line + pipe[0].line + extra
            if len(pipe) > 1 and any(each.piped for each in pipe[:-1]):
                self._pipe(pipe, line)
                continue
            for each in pipe:
                # Links and copies around a step are its scaffolding.
                if not (steps and each.program in ("ln", "cp", "mv")):
                    self._command(each, instruction.line + each.line + extra, own=own)

    def _pipe(self, pipe: Sequence[Command], line: int) -> None:
        text = " | ".join(each.text for each in pipe)
        silent = [each.program == "xargs" or self._is_silent(each) for each in pipe]
        if all(silent[1:]) and pipe[0].program not in ("curl", "wget"):
            return
        if re.search(
            r"poetry|astral|/uv/|pdm|nodesource|pyenv|bun\.sh|gpg|apt-key|sources\.list", text
        ):
            return
        self._lose(f"RUN {text}", line, "do it in docker/app.Dockerfile")

    def _of_script(self, command: Command) -> list[Command]:
        """Return the commands of a script of the repository, or the command itself."""
        script = self._script_file(command)
        if script is None:
            return [command]
        return [one for each in commands(self.tree.text(script)) for one in unwrapped(each)]

    def _command(self, command: Command, line: int, *, own: bool) -> None:
        program, words = command.program, command.words
        if program in ("apt-get", "apt", "aptitude"):
            if "install" in words:
                self._packages(words[words.index("install") + 1 :], line, own=own)
            return
        if program == "apk" and "add" in words:
            self._lose(
                command.text,
                line,
                "name the same as Debian packages in API_RUN_PACKAGES: the images are Debian's",
            )
            return
        if self._is_silent(command):
            self._requirements(command)
            return
        if self._is_node(command):
            self._node_command(command, self._at(line), "")
            return
        found = job(command)
        if found and found.kind in ("test", "migrate", "wait"):
            return
        is_of_app = program == "flask" or words[1:2] == ("manage.py",)
        if found and (found.kind == "collect" or (found.kind == "python" and is_of_app)):
            self.image.steps.append((command, self._at(line)))
            return
        self._lose(
            f"RUN {command.text}",
            line,
            "do it in API_BUILD_COMMAND (stack.env), or in docker/app.Dockerfile",
        )

    def _is_silent(self, command: Command) -> bool:
        """Say whether a command only prepares an image, which is Gangway's affair here."""
        program, text = command.program, command.text
        if program in _SILENT or program.startswith(("$", "#")) or not program:
            return True
        if program in ("npm", "yarn", "pnpm", "bun"):
            return not self._is_node(command)
        known = next((pattern for names, pattern in _SILENT_IF if program in names), None)
        return is_waiting(command) if known is None else re.search(known, text) is not None

    def _is_node(self, command: Command) -> bool:
        words = command.words
        if command.program in ("npm", "yarn", "pnpm", "bun"):
            return "build" in " ".join(words[1:3]) or words[1:2] == ("run",)
        return command.program in ("npx", "bunx", "vite", "webpack", "gulp", "node", "esbuild")

    def _requirements(self, command: Command) -> None:
        words = list(command.words)
        for at, word in enumerate(words):
            if word in ("-r", "--requirement") and at + 1 < len(words):
                name = words[at + 1]
                for candidate in (join(self.context, name), self.in_repository(name) or ""):
                    if self.tree.has(candidate) and candidate not in self.image.requirements:
                        self.image.requirements.append(candidate)

    def _packages(self, words: tuple[str, ...], line: int, *, own: bool) -> None:
        self.image.packages_where = self.image.packages_where or self._at(line)
        for word in words:
            name = re.sub(r"[=:].*", "", word)
            if word.startswith("-") or not re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name):
                continue
            if name in _TOOLS:
                continue
            if re.search(r"mysql|mariadb", name):
                self._lose(f"the package {name}", line, "the database is PostgreSQL")
            elif name in _COMPILERS or (not own):
                _add(self.image.build_packages, name)
            elif name.endswith("-dev"):
                _add(self.image.build_packages, name)
                if at_run_time := _AT_RUN_TIME.get(name, name):
                    _add(self.image.run_packages, at_run_time)
            else:
                _add(self.image.run_packages, name)

    # -- Node -------------------------------------------------------------------------------------

    def _node(self, stage: Stage) -> None:
        values, folder = self.file.values(stage), "/"
        copies: list[tuple[str, str]] = []
        for each in stage.instructions:
            text = substituted(each.text, values)
            if each.name == "WORKDIR":
                folder = text if text.startswith("/") else join(folder, text)
            elif each.name in ("COPY", "ADD") and not each.flag("from"):
                sources, target = _copied(Instruction(each.name, text, each.line))
                copies += [
                    self._copied_to(folder, one, target, alone=len(sources) == 1) for one in sources
                ]
            elif each.name == "RUN":
                self._node_run(each, values, _where_copied(copies, folder, self.tree))

    def _node_run(self, instruction: Instruction, values: Mapping[str, str], folder: str) -> None:
        for command in commands(instruction.text, values):
            for inner in unwrapped(command, values):
                place = self._at(instruction.line + command.line)
                if inner.program in ("apt-get", "apk") or self._is_silent(inner):
                    continue
                self._node_command(inner, place, folder)

    def _node_command(self, command: Command, place: str, folder: str) -> None:
        self.image.assets.append((folder, command, place))

    # -- what it starts ---------------------------------------------------------------------------

    def _start(self) -> None:
        entrypoint: tuple[str, ...] = ()
        command: tuple[str, ...] = ()
        place = self._at(self.stage.line)
        for stage in self.lineage:
            for each in stage.of("ENTRYPOINT", "CMD"):
                text = substituted(each.text, self.values)
                words = Instruction(each.name, text, each.line).words or ("sh", "-c", text)
                place = self._at(each.line)
                if each.name == "ENTRYPOINT":
                    entrypoint, command = words, ()
                else:
                    command = words
        self.image.entrypoint, self.image.reader = entrypoint, self
        self.image.started = self.started(entrypoint, command, place)

    def _functions(self, script: str) -> tuple[str, dict[str, str]]:
        """Return a script's text without its functions, and those, each with its lines in place."""
        text, functions = self.tree.text(script), {}
        for match in _FUNCTION.finditer(text):
            before = text.count("\n", 0, match.start("body"))
            functions[match["name"]] = "\n" * before + match["body"]
        return _FUNCTION.sub(lambda match: "\n" * match[0].count("\n"), text), functions

    def started(
        self, entrypoint: tuple[str, ...], command: tuple[str, ...], place: str
    ) -> list[tuple[Command, str]]:
        """Return what a container does in the end, scripts of the repository looked into."""
        rest = command if entrypoint else ()
        every, called = self._script(entrypoint or command, rest, place)
        if entrypoint and command and not called:
            every += self._script(command, (), place)[0]
        return every

    def _script(
        self, words: tuple[str, ...], rest: tuple[str, ...], place: str
    ) -> tuple[list[tuple[Command, str]], bool]:
        """Return what a command does, a script of the repository looked into.

        A script that has a function by the name of one of its arguments calls that; whether it did
        so for one of the `rest`, the words that follow, is said, too.
        """
        every: list[tuple[Command, str]] = []
        called = False
        for inner in unwrapped(Command(words, {}), self.values) if words else ():
            script = self._script_file(inner)
            if script is None:
                every.append((inner, place))
                continue
            text, functions = self._functions(script)
            named = next((word for word in (*inner.words[1:], *rest) if word in functions), "")
            called = called or named in rest
            every += [
                (one, f"{script}:{each.line + 1}")
                for each in commands(functions[named] if named else text)
                for one in unwrapped(each)
                if one.words[0].strip('"') not in ("$@", "$*", "${@}")
            ]
        return every, called

    def _script_file(self, command: Command) -> str | None:
        word = command.words[0]
        if re.fullmatch(r"python[\d.]*", command.program):
            return None
        found = self.in_repository(word) if word.startswith("/") else None
        if found is None and self.image.workdir is not None:
            found = join(self.image.workdir, word)
        if found is None and not word.startswith("/"):
            found = join(self.context, word)
        if found and self.tree.has(found) and _is_script(self.tree.text(found)):
            return found
        return None

    def _lose(self, what: str, line: int, do: str) -> None:
        self.image.losses.append(Loss(_short(what), self._at(line), do))


def _where_copied(copies: list[tuple[str, str]], folder: str, tree: Tree) -> str:
    best = ""
    length = -1
    for there, mine in copies:
        if there == folder or folder.startswith(there.rstrip("/") + "/"):
            found = join(mine, folder[len(there) :].lstrip("/"))
            if found in tree.folders and len(there) > length:
                best, length = found, len(there)
        elif there.startswith(folder.rstrip("/") + "/") and tree.has(mine) and length < 0:
            # Only the lock files came before: package.json lies beside them.
            best = parent(mine)
    return best


def _is_script(text: str) -> bool:
    return bool(re.match(r"#!.*\b(sh|bash|dash|ash)\b", text))


def _add(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else f"{line[:97]}..."
