"""The Compose files and the contract of an adopted app's stack: blocks of text, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gangway.operations.adoption import parts
from gangway.operations.adoption.found import Foreign, Found
from gangway.operations.adoption.parts import Anchors, Beside, Fields
from gangway.operations.adoption.starter import Names

# Services that every stack has, and words that its variables begin with.
_TAKEN: Final = frozenset(
    {
        "api", "broker", "downgrade", "gangway", "history", "makemigration", "migrate", "nginx",
        "postgres", "redis", "seed", "test", "test-runner",
    }
)  # fmt: skip
# The secrets that every stack has.
_CORE_SECRETS: Final = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "SECRET_KEY")
# The ports that the stack's own services publish in development.
_PUBLISHED: Final = (8000, 5432, 6379, 6380, 5678)
_LIMITS: Final = ("mem_limit", "cpus", "pids_limit", "deploy")


@dataclass(frozen=True)
class Port:
    """A port of a service that stays in the user's Compose file, and its number on this machine."""

    variable: str
    number: int
    published: int


@dataclass(frozen=True)
class Other:
    """A service of the user's Compose file: its name in the stack, and its definition there."""

    name: str
    foreign: Foreign
    definition: Mapping[str, Any]
    ports: tuple[Port, ...]

    @property
    def prefix(self) -> str:
        """What its variables begin with."""
        return parts.variable(self.name)

    @property
    def has_limits(self) -> bool:
        """Whether it says itself what it may use up."""
        return any(name in self.definition for name in _LIMITS)

    @property
    def ready(self) -> str:
        """What whoever needs it waits for."""
        return "service_healthy" if self.definition.get("healthcheck") else "service_started"


@dataclass(frozen=True)
class Given:
    """What the Compose files are made from."""

    names: Names
    programs: tuple[Beside, ...]
    others: tuple[Other, ...]
    secrets: Mapping[str, str]
    variables: bool
    queue: bool

    @property
    def own_secrets(self) -> list[str]:
        """The variables of the secrets that no other stack has."""
        return [name for name in self.secrets if name not in _CORE_SECRETS]


def given(found: Found, names: Names, definitions: Mapping[str, Mapping[str, Any]]) -> Given:
    """Return what the Compose files are made from; `definitions` are of the foreign services."""
    taken = set(_TAKEN)
    programs = tuple(
        Beside(_free(each.name, taken, _program_name), each.command) for each in found.programs
    )
    used = set(_PUBLISHED)
    others = tuple(
        _other(each, definitions.get(each.name, {}), taken, used) for each in found.foreign
    )
    variables = any(found.variables.values())
    return Given(names, programs, others, found.secrets, variables, found.queue)


def secrets_of(found: Found) -> list[str]:
    """Return the variables that the app's own secrets are handed over as."""
    return list(found.secrets)


def has_native(given: Given) -> bool:
    """Say whether something of the stack is different without containers."""
    return bool(given.others or given.queue)


def _program_name(name: str) -> str:
    return f"{name}-program"


def _other_name(name: str) -> str:
    return f"other-{name}"


def _other(
    foreign: Foreign, definition: Mapping[str, Any], taken: set[str], used: set[int]
) -> Other:
    name = _free(foreign.name, taken, _other_name)
    ports: list[Port] = []
    for number in foreign.ports:
        published = number if number >= 1024 else number + 8000
        while published in used:
            published += 1
        used.add(published)
        own = "" if not ports else f"_{number}"
        ports.append(Port(f"PUBLISHED_{parts.variable(name)}{own}_PORT", number, published))
    return Other(name, foreign, definition, tuple(ports))


def _free(name: str, taken: set[str], other: Callable[[str], str]) -> str:
    while name in taken:
        name = other(name)
    taken.add(name)
    return name


def compose_files(given: Given) -> dict[str, str]:
    """Return the texts of the stack's Compose files by name, an overlay for each environment."""
    texts = {
        "compose.yml": _compose(given),
        "dev.yml": _document(given, "development", _dev(given)),
        "test.yml": _document(given, "tests", _test(given)),
        "prod.yml": _document(given, "production", _prod(given)),
    }
    if has_native(given):
        texts["native.yml"] = _document(given, "services without containers", _native(given))
    return texts


def _document(given: Given, where: str, blocks: Iterable[str]) -> str:
    head = f"# What {given.names.project} has otherwise in {where}.\n"
    return head + _services(blocks)


def _services(blocks: Iterable[str]) -> str:
    found = list(blocks)
    return "services:\n" + "\n".join(found) if found else "services: {}\n"


def _compose(given: Given) -> str:
    base = f"{given.names.compose}.yml"
    parts = [f"# What {given.names.project} has besides {base}.\n"]
    app = _app(given)
    if app:
        about = "# What the app is given besides, in every service that runs it."
        parts.append("\n".join([about, "x-app: &app", *app]) + "\n")
    parts.append(_services(_blocks(given, app=bool(app))))
    if given.own_secrets:
        lines = [
            f'  {name.lower()}: {{file: "${{SECRETS_DIR:-./secrets/prod}}/{name.lower()}"}}'
            for name in given.own_secrets
        ]
        parts.append("\n".join(["secrets:", *lines]) + "\n")
    volumes = [name for other in given.others for name in other.foreign.volumes]
    if given.queue:
        volumes.insert(0, "broker-data")
    if volumes:
        lines = [f"  {name}: {{}}" for name in dict.fromkeys(volumes)]
        parts.append("\n".join(["volumes:", *lines]) + "\n")
    return "\n".join(parts)


def _app(given: Given) -> list[str]:
    """Return the lines of what every service that runs the app is given besides the base's."""
    return [
        *_env_files(given),
        *(["  environment: &app-environment", *_environment(given)] if _environment(given) else []),
        *([f"  secrets: [{_secret_names(given)}]"] if given.own_secrets else []),
    ]


def _env_files(given: Given) -> list[str]:
    if not given.variables:
        return []
    folder = given.names.stack
    return [
        "  env_file:",
        f"    - {{path: {folder}/app.env, required: false}}",
        f'    - {{path: "{folder}/app.${{OVERLAY}}.env", required: false}}',
    ]


def _environment(given: Given) -> list[str]:
    lines = [f"    {name}_FILE: /run/secrets/{name.lower()}" for name in given.own_secrets]
    if given.queue:
        lines += [
            "    BROKER_HOST: ${BROKER_HOST:-broker}",
            "    BROKER_PORT: ${BROKER_PORT:-6379}",
            "    BROKER_PASSWORD_FILE: /run/secrets/redis_password",
        ]
    return lines


def _secret_names(given: Given) -> str:
    return ", ".join(name.lower() for name in given.own_secrets)


def _blocks(given: Given, *, app: bool) -> Iterator[str]:
    if app:
        yield "  migrate:\n    <<: *app\n"
    needs = _needs(given)
    if app or needs:
        lines = ["  api:"]
        lines += ["    <<: *app"] if app else []
        lines += ["    depends_on: &needs", *needs] if needs else []
        yield "\n".join(lines) + "\n"
    anchors = Anchors(app, bool(_environment(given)), bool(needs))
    for program in given.programs:
        yield parts.program(program, f"{given.names.compose}.yml", anchors)
    if given.queue:
        yield _broker(given)
    for other in given.others:
        yield _other_block(other)


def _needs(given: Given) -> list[str]:
    lines = ["      broker: {condition: service_healthy}"] if given.queue else []
    return lines + [
        f"      {other.name}: {{condition: {other.ready}, required: false}}"
        for other in given.others
    ]


def _broker(given: Given) -> str:
    return f"""\
  # The queue's own Redis, beside the cache: it loses nothing to make room, and keeps all of it.
  broker:
    extends: {{file: {given.names.compose}.yml, service: redis}}
    environment:
      REDIS_MAXMEMORY: ${{BROKER_MAXMEMORY:-128mb}}
      REDIS_MAXMEMORY_POLICY: noeviction
      REDIS_APPENDONLY: "yes"
    volumes: ["broker-data:/data"]
    tmpfs: !override ["/tmp:mode=1777,size=16m"]
    deploy:
      resources: {parts.limits("BROKER")}
"""


def _other_block(other: Other) -> str:
    theirs = other.definition
    resets = {
        "container_name": "null", "ports": "[]", "depends_on": "{}", "links": "[]",
        "volumes_from": "[]", "network_mode": "null",
    }  # fmt: skip
    limits = parts.limits(other.prefix, ", pids: 200")
    lines = [
        f"  # As {other.foreign.file} has it; what it publishes is in dev.yml.",
        f"  {other.name}:",
        f"    extends: {{file: {other.foreign.file}, service: {other.foreign.name}}}",
        *(f"    {key}: !reset {empty}" for key, empty in resets.items() if theirs.get(key)),
        *parts.contained("" if other.has_limits else limits),
    ]
    return "\n".join(lines) + "\n"


def _dev(given: Given) -> Iterator[str]:
    for program in given.programs:
        yield parts.overlay(program.name, f"{given.names.compose}.dev.yml")
    if given.queue:
        yield parts.local("broker", limited=True) + parts.published(
            "PUBLISHED_BROKER_PORT", 6381, 6379
        )
    for other in given.others:
        ports = [
            f'"${{BIND_ADDRESS:-127.0.0.1}}:${{{port.variable}:-{port.published}}}:{port.number}"'
            for port in other.ports
        ]
        text = parts.local(other.name, limited=not other.has_limits)
        yield text + (f"    ports: [{', '.join(ports)}]\n" if ports else "")


def _test(given: Given) -> Iterator[str]:
    for program in given.programs:
        yield parts.overlay(program.name, f"{given.names.compose}.test.yml")
    if given.queue:
        published = parts.published("PUBLISHED_BROKER_PORT", 6382, 6379)
        yield (
            parts.local("broker", limited=True)
            + "    volumes: !reset []\n"
            + '    tmpfs: ["/data:mode=1777,size=64m"]\n'
            + published
        )
    for other in given.others:
        yield parts.local(other.name, limited=not other.has_limits)
    runner = [*(f"  {line}" for line in _env_files(given))]
    if environment := _environment(given):
        runner += ["    environment:", *(f"  {line}" for line in environment)]
    if given.own_secrets:
        runner.append(f"    secrets: [{_secret_names(given)}]")
    if needs := _needs(given):
        runner += ["    depends_on:", *needs]
    if runner:
        yield "\n".join(["  test-runner:", *runner]) + "\n"


def _prod(given: Given) -> Iterator[str]:
    if given.queue:
        yield (
            "  # It reads a secret, which is the user's alone.\n"
            '  broker: {user: "${APP_UID:-10001}:${APP_GID:-10001}"}\n'
        )


def _native(given: Given) -> Iterator[str]:
    if given.queue:
        yield (
            "  broker:\n    restart: on-failure\n"
            '    environment: {REDIS_BIND: 127.0.0.1, REDIS_PORT: "${PUBLISHED_BROKER_PORT:?}"}\n'
        )
        address = '{BROKER_HOST: 127.0.0.1, BROKER_PORT: "${PUBLISHED_BROKER_PORT:?}"}'
        for name in ("migrate", "api", *(each.name for each in given.programs), "test-runner"):
            yield f"  {name}: {{environment: {address}}}\n"
    for other in given.others:
        yield parts.not_native(other.name)


def contract(given: Given) -> str:
    """Return the stack's part of the contract: the variables that no other stack has."""
    entries = [line for name, fields in _specs(given) for line in parts.spec(name, fields)]
    head = (
        f"# The variables of {given.names.project}: what a variable of your own means, and may be."
        "\ngroups:\n"
    )
    group = f"  The {given.names.project} stack:"
    return head + (f"{group}\n" + "".join(entries) if entries else f"{group} {{}}\n")


def _specs(given: Given) -> Iterator[tuple[str, Fields]]:
    for program in given.programs:
        yield from parts.specs(program)
    for name in given.own_secrets:
        value = given.secrets[name]
        yield (
            name,
            {
                "type": "string", "secret": True, "secret_file": name.lower(),
                **({"insecure": [value]} if value and "\n" not in value else {}),
                "meaning": f"A secret of the app, which reads it as {name}",
            },
        )  # fmt: skip
    if given.queue:
        yield (
            "PUBLISHED_BROKER_PORT",
            {
                "type": "port", "published": True, "service": "broker",
                "default": {"dev": 6381, "test": 6382}, "meaning": "The broker on this machine",
            },
        )  # fmt: skip
        yield (
            "BROKER_HOST",
            {"type": "string", "default": "broker", "meaning": "Where the app finds its queue"},
        )
        yield "BROKER_PORT", {"type": "port", "default": 6379, "meaning": "The port there"}
        yield (
            "BROKER_MAXMEMORY",
            {
                "type": "size", "default": "128mb",
                "meaning": "How much the queue may hold before it takes no more",
            },
        )  # fmt: skip
        yield from parts.limit_specs("BROKER", "the broker")
    for other in given.others:
        for port in other.ports:
            fields = parts.port_fields(other.name, port.number, port.published)
            yield port.variable, fields
        if not other.has_limits:
            yield from parts.limit_specs(other.prefix, other.name)
