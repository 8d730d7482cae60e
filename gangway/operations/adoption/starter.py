"""The files that a repository starts from, as they are in the wheel, and as somebody gets them.

In a checkout of Gangway they are its own, with the sample apps' services in them; for somebody
else those are cut out, and the files have the names that fit beside what is there already.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import gangway
from gangway.base.errors import GangwayError
from gangway.operations.adoption import blocks

DOCKER_COMPOSE: Final = "docker-compose"
TASKS: Final = "tasks.py"
OTHER_TASKS: Final = "gangway_tasks.py"
"""Where there is a tasks.py already: `invoke -c gangway_tasks`."""
LOCK: Final = "env/gangway.lock"
"""What was written, for the next version: an adopted repository has it."""
CI: Final = {"github": ".github/workflows/gangway.yml"}
"""Where the workflow goes that runs what must hold, for each that there is one for."""
OTHER_COMPOSE: Final = "gangway"
"""What the Compose files begin with where there are others already: `gangway.dev.yml`."""


class File(NamedTuple):
    """A file's content, and whether it is a program."""

    text: str
    executable: bool = False

    @property
    def data(self) -> bytes:
        """The content as it is on the disk."""
        return self.text.encode()


@dataclass(frozen=True)
class Names:
    """What is called differently from one repository to another.

    `project` names the stack, its folder and all that an engine has of it; `compose` is what the
    Compose files' names begin with, `tasks` the file with the tasks, `ci` one of CI, or empty.
    """

    project: str
    compose: str = DOCKER_COMPOSE
    tasks: str = TASKS
    ci: str = ""

    @property
    def database(self) -> str:
        """The name of the database, and of its owner."""
        return re.sub(r"^(?=\d)", "_", self.project.replace("-", "_"))

    @property
    def stack(self) -> str:
        """The stack's folder."""
        return f"stacks/{self.project}"

    @property
    def invoke(self) -> str:
        """How the tasks are called."""
        return "invoke" if self.tasks == TASKS else f"invoke -c {Path(self.tasks).stem}"


@dataclass(frozen=True)
class Lock:
    """What `env/gangway.lock` says: who wrote the files, under which names, and as what.

    `files` has the git blob id of each file as it was written; `texts` are contents that are in no
    commit, by their id.
    """

    version: str
    names: Names
    files: Mapping[str, str]
    texts: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Return the lock as it is written."""
        data: dict[str, Any] = {
            "gangway": self.version,
            "names": asdict(self.names),
            "files": dict(sorted(self.files.items())),
        }
        if self.texts:
            data["texts"] = dict(sorted(self.texts.items()))
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


# What there is for the samples alone, or for this checkout, by how a path begins.
_LEFT_OUT: Final = (
    "docker/app.Dockerfile.dockerignore", "docker/frontend.Dockerfile",
    "docker/offline/langflow.", "docker/offline/overrides-langflow.", "docker/offline/qdrant",
    "docker/offline/requirements-langflow.", "docker/offline/requirements-qdrant.",
    "scripts/bootstrap", "scripts/host/", "scripts/native/qdrant", "scripts/node-test",
)  # fmt: skip

# Entries of YAML files.
_ENTRIES: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "docker-compose.yml": (
        ("services", "app"),
        ("services", "scheduler"),
        ("volumes", "app-scratch"),
    ),
    "docker-compose.dev.yml": (("services", "app"), ("services", "scheduler")),
    "docker-compose.test.yml": (
        ("services", "app"),
        ("services", "scheduler"),
        ("services", "test-runner", "environment", "STACK_APPS"),
        ("services", "test-runner", "environment", "APP_URL"),
        ("services", "test-runner", "depends_on", "app"),
        ("volumes", "app-scratch"),
    ),
    "docker-compose.prod.yml": (("services", "app"), ("services", "nginx", "depends_on", "app")),
    "docker-compose.native.yml": (("services", "app"), ("services", "scheduler")),
    "env/contract.yml": (
        ("groups", "Published ports", "PUBLISHED_APP_PORT"),
        ("groups", "Apps", "API_URL"),
        ("groups", "Apps", "APP_REPLICAS"),
        ("groups", "Images and builds", "LANGFLOW_IMAGE"),
        ("groups", "Images and builds", "QDRANT_IMAGE"),
        ("groups", "Limits", "APP_CPUS"),
        ("groups", "Limits", "APP_MEMORY"),
        ("groups", "Limits", "SCHEDULER_CPUS"),
        ("groups", "Limits", "SCHEDULER_MEMORY"),
    ),
}

# Variables of env files: the samples', and what the stack's own file says.
_VARIABLES: Final = frozenset(
    {
        "COMPOSE_PROFILES", "STACK_APPS", "TEST_LOCKS", "PUBLISHED_APP_PORT", "LANGFLOW_IMAGE",
        "QDRANT_IMAGE",
    }
)  # fmt: skip

# The comment that a file begins with, where it speaks of the samples.
_HEADS: Final[Mapping[str, str]] = {
    "docker-compose.yml": """\
# PostgreSQL, Redis and the app, which {stack}/stack.env describes. Every service once, safe for
# production as it stands; an overlay holds only what differs, and the environment file chooses it:
#   docker compose --env-file env/dev.env --env-file {stack}/stack.env up
# {stack}/ adds the app's own files to these.
""",
    "env/contract.yml": """\
# The variables of this repository: meaning, values, where they must be set. Gangway's
# own are described in the package, and the app's in {stack}/contract.yml, all in the same way.
""",
}

# What a sample's fact is the default of, and words about the samples.
_WORDS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "docker-compose.yml": (
        ("${API_SOURCE:-apps/api}", "${API_SOURCE:?}"),
        ("${API_LOCK:-apps/api/requirements.txt}", "${API_LOCK:?}"),
        ("${API_TARGET:-api.main:app}", "${API_TARGET:?}"),
        ("${MIGRATE_COMMAND-python -m api.migrate}", "${MIGRATE_COMMAND:-}"),
        ("${MIGRATE_COMMAND-alembic upgrade head}", "${MIGRATE_COMMAND:-}"),
        ("${SEED_COMMAND-python -m api.seed}", "${SEED_COMMAND:-}"),
        (
            "${DB_IMPORTS-alembic.config alembic.command sqlalchemy.ext.asyncio}",
            "${DB_IMPORTS:-}",
        ),
    ),
    "docker-compose.dev.yml": (("${API_SOURCE:-apps/api}", "${API_SOURCE:?}"),),
    "docker-compose.test.yml": (
        ("${API_SOURCE:-apps/api}", "${API_SOURCE:?}"),
        ("${TEST_SOURCE:-apps}", "${TEST_SOURCE:?}"),
    ),
    "docker-compose.prod.yml": (
        ("${PROXY_ROOT:-app:5000}", "${PROXY_ROOT:-api:8000}"),
        ("${API_ASK:-/habits=200}", "${API_ASK:-/}"),
    ),
    "docker-compose.native.yml": (
        (
            " What the engine does by itself\n# (ports, names, mounts) is in docs/native.md.\n",
            "\n",
        ),
    ),
    "env/dev.env": (
        ("# docs/variables.md says what each variable means. ", "# `invoke dev.env` shows all. "),
    ),
    "env/contract.yml": (("Base of the front end's image", "Node, which builds API_ASSETS"),),
    "env/engines/native.env": ((" (docs/native.md)", ""),),
    "env/engines/swarm.env": ((" (docs/swarm.md)", ""),),
    "docker-compose.swarm.yml": ((" (docs/swarm.md)", ""),),
    "docker/app.Dockerfile": ((": docs/adopting.md.", ", which the stack's facts are."),),
    "tasks.py": (("they are in gangway/tasks/", "they are in the package gangway"),),
}

# In every environment's file.
_ENVIRONMENT: Final = (
    ("COMPOSE_PROJECT_NAME=gangway-", "GANGWAY_STACK={project}\n"),
    ("POSTGRES_DB=gangway", "POSTGRES_DB={database}"),
    ("POSTGRES_USER=gangway", "POSTGRES_USER={database}"),
    (".env up", ".env --env-file {stack}/stack.env up"),
    (".env run", ".env --env-file {stack}/stack.env run"),
)

# Personal files that git must not have, in folders of ours: somebody's own list stays as it is.
_IGNORED: Final = {
    "env/.gitignore": "# personal settings\nlocal.env\n",
    "secrets/.gitignore": (
        "# made here, never shared; known to everybody: those for development and tests\n"
        "/*\n!.gitignore\n!dev/\n!test/\n"
    ),
}


def folder() -> Path:
    """Return where the files are: in the wheel, or the top of Gangway's own checkout."""
    package = Path(gangway.__file__).parent
    inside = package / "starter"
    return inside if inside.is_dir() else package.parent


def files(names: Names, top: Path | None = None) -> dict[str, File]:
    """Return what somebody's repository gets of the starter, by the paths that it has there.

    `top` is the checkout, or the wheel's folder, where that isn't this package's own. Raises
    OSError where a file can't be read.
    """
    return rendered(originals(folder() if top is None else top), names)


def originals(top: Path) -> dict[str, File]:
    """Return the starter's files as they are, by their paths; all are text."""
    return {
        path.relative_to(top).as_posix(): File(
            path.read_text(encoding="utf-8"), bool(path.stat().st_mode & 0o100)
        )
        for path in sorted(_paths(top))
    }


def rendered(starter: Mapping[str, File], names: Names) -> dict[str, File]:
    """Return what somebody's repository gets of the starter, by the paths that it has there."""
    found = {
        _renamed(path, names): file._replace(text=_text(path, file.text, names))
        for path, file in starter.items()
        if not path.startswith(_LEFT_OUT)
    }
    found |= {path: File(text) for path, text in _IGNORED.items()}
    if names.ci:
        workflow = Path(__file__).with_name(f"{names.ci}-workflow.yml").read_text(encoding="utf-8")
        found[CI[names.ci]] = File(workflow.replace("invoke ", f"{names.invoke} "))
    return found


def read_lock(root: Path) -> Lock:
    """Return what the lock of an adopted repository says.

    Raises GangwayError where there is none, or nothing that can be read.
    """
    try:
        data = json.loads((root / LOCK).read_text(encoding="utf-8"))
        return Lock(
            str(data["gangway"]),
            Names(**data["names"]),
            dict(data["files"]),
            dict(data.get("texts", {})),
        )
    except (FileNotFoundError, NotADirectoryError):
        raise GangwayError(
            "Gangway isn't in this repository", where=LOCK, fix="gangway adopt"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise GangwayError(
            f"it can't be read: {error}", where=LOCK, fix=f"git checkout -- {LOCK}"
        ) from None


def write_lock(root: Path, lock: Lock) -> None:
    """Write the lock of an adopted repository."""
    (root / LOCK).write_text(lock.text(), encoding="utf-8")


def _paths(top: Path) -> Iterator[Path]:
    if (top / "pyproject.toml").exists():
        build = tomllib.loads((top / "pyproject.toml").read_text(encoding="utf-8"))
        wheel: Mapping[str, Any] = build["tool"]["hatch"]["build"]["targets"]["wheel"]
        given: Iterable[Path] = (top / name for name in wheel["force-include"])
    else:
        given = [top]
    for path in given:
        below = path.rglob("*") if path.is_dir() else [path]
        yield from (each for each in below if each.is_file() and each.parent.name != "__pycache__")


def _renamed(text: str, names: Names) -> str:
    kinds = "dev|test|prod|native|swarm|override"
    renamed = re.sub(rf"\b{DOCKER_COMPOSE}(?=(\.({kinds}))?\.yml\b)", names.compose, text)
    return names.tasks if renamed == TASKS else renamed


def _text(path: str, text: str, names: Names) -> str:
    for entry in _ENTRIES.get(path, ()):
        text = blocks.without(text, *entry)
    if path.endswith(".env"):
        text = _without_variables(text)
    values = {"project": names.project, "database": names.database, "stack": names.stack}
    if path in _HEADS:
        text = _filled(_HEADS[path], values) + re.sub(r"\A(#.*\n)+", "", text)
    for old, new in _WORDS.get(path, ()):
        if old not in text:
            raise KeyError(f"{path}: {old}")
        text = text.replace(old, _filled(new, values))
    if re.fullmatch(r"env/[^/]*\.env", path):
        text = _environment(text, values)
    return _renamed(text, names).replace("`invoke ", f"`{names.invoke} ")


def _filled(text: str, values: Mapping[str, str]) -> str:
    # Not str.format: Compose's own references have braces, too.
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _environment(text: str, values: Mapping[str, str]) -> str:
    for old, new in _ENVIRONMENT:
        end = r"[^\n]*\n" if new.endswith("\n") else ""
        text = re.sub(re.escape(old) + end, _filled(new, values), text)
    return text


def _without_variables(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.partition("=")[0] not in _VARIABLES)
