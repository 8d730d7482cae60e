"""The Compose files of an adopted app's stack: blocks of text, put together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

from gangway.operations.adoption import parts
from gangway.operations.adoption.parts import Anchors, Port
from gangway.operations.adoption.services import BROKER_PORTS, Given, Other

# What is said anew of a service that stays in the user's file, and its value for nothing.
_RESET: Final = {
    "container_name": "null", "cpus": "null", "depends_on": "{}", "external_links": "[]",
    "links": "[]", "mem_limit": "null", "network_mode": "null", "pids_limit": "null",
    "ports": "[]", "volumes_from": "[]",
}  # fmt: skip


def files(given: Given) -> dict[str, str]:
    """Return the texts by name: what the stack has, and an overlay for each environment."""
    texts = {
        "compose.yml": _compose(given),
        "dev.yml": _overlay(given, "in development", _dev(given)),
        "test.yml": _overlay(given, "in tests", _test(given)),
        "prod.yml": _overlay(given, "in production", _prod(given)),
    }
    if given.has_native:
        texts["native.yml"] = _overlay(given, "without containers", _native(given))
    return texts


def _overlay(given: Given, where: str, blocks: Iterable[str]) -> str:
    return f"# What is different {where} in {given.names.project}.\n" + _services(blocks)


def _services(blocks: Iterable[str]) -> str:
    found = list(blocks)
    return "services:\n" + "\n".join(found) if found else "services: {}\n"


# ---- compose.yml


def _compose(given: Given) -> str:
    parts = [f"# What {given.names.project} has besides {given.names.compose}.yml.\n"]
    if app := _app(given):
        about = "# What the app gets besides, in every service that runs it.\n"
        parts.append(about + "x-app: &app\n" + "".join(app))
    parts.append(_services(_blocks(given)))
    if given.secrets:
        folder = "${SECRETS_DIR:-./secrets/prod}"
        names = [name.lower() for name in given.secrets]
        lines = [f'  {name}: {{file: "{folder}/{name}"}}\n' for name in names]
        parts.append("secrets:\n" + "".join(lines))
    volumes = ["broker-data"] if given.queue else []
    volumes += [name for other in given.others for name in other.foreign.volumes]
    if volumes:
        lines = [f"  {name}: {{}}\n" for name in dict.fromkeys(volumes)]
        parts.append("volumes:\n" + "".join(lines))
    return "\n".join(parts)


def _app(given: Given) -> list[str]:
    """Return the lines of what every service that runs the app gets besides the base's."""
    environment = _environment(given)
    return [
        *_env_files(given),
        *(["  environment: &app-environment\n", *environment] if environment else []),
        *_secrets(given),
    ]


def _env_files(given: Given) -> list[str]:
    folder = given.names.stack
    lines = [
        "  env_file:\n",
        f"    - {{path: {folder}/app.env, required: false}}\n",
        f'    - {{path: "{folder}/app.${{OVERLAY}}.env", required: false}}\n',
    ]
    return lines if given.variables else []


def _environment(given: Given) -> list[str]:
    lines = [f"    {name}_FILE: /run/secrets/{name.lower()}\n" for name in given.secrets]
    if given.queue:
        lines += [
            "    BROKER_HOST: ${BROKER_HOST:-broker}\n",
            "    BROKER_PORT: ${BROKER_PORT:-6379}\n",
            "    BROKER_PASSWORD_FILE: /run/secrets/redis_password\n",
        ]
    return lines


def _secrets(given: Given) -> list[str]:
    names = ", ".join(name.lower() for name in given.secrets)
    return [f"  secrets: [{names}]\n"] if names else []


def _blocks(given: Given) -> Iterator[str]:
    app = "    <<: *app\n" if _app(given) else ""
    needs = "".join(_needs(given))
    if app:
        yield f"  migrate:\n{app}"
    if app or needs:
        waits = f"    depends_on: &needs\n{needs}" if needs else ""
        yield f"  api:\n{app}{waits}"
    anchors = Anchors(bool(app), bool(_environment(given)), bool(needs))
    for program in given.programs:
        yield parts.program(program, f"{given.names.compose}.yml", anchors)
    if given.queue:
        yield _broker(given)
    for other in given.others:
        yield _other(other)


def _needs(given: Given) -> list[str]:
    lines = ["      broker: {condition: service_healthy}\n"] if given.queue else []
    return lines + [
        f"      {other.name}: {{condition: {other.condition}, required: false}}\n"
        for other in given.others
    ]


def _broker(given: Given) -> str:
    return f"""\
  # The queue, beside redis, which is a cache: nothing makes room here, and all of it is kept.
  broker:
    extends: {{file: {given.names.compose}.yml, service: redis}}
    environment:
      REDIS_MAXMEMORY: ${{BROKER_MAXMEMORY:-128mb}}
      REDIS_MAXMEMORY_POLICY: noeviction
      REDIS_APPENDONLY: "yes"
      REDIS_DIR: /data
    volumes: ["broker-data:/data"]
    tmpfs: !override ["/tmp:mode=1777,size=16m"]
    deploy:
      resources: {parts.limits("BROKER", memory="192m")}
"""


def _other(other: Other) -> str:
    resets = (
        f"    {key}: !reset {nothing}"
        for key, nothing in _RESET.items()
        if other.definition.get(key) or (key == "ports" and other.ports)
    )
    limits = parts.limits(other.prefix, **other.limits())
    lines = [
        f"  # As {other.foreign.file} has it, but for what stands here and in dev.yml.",
        f"  {other.name}:",
        f"    extends: {{file: {other.foreign.file}, service: {other.foreign.name}}}",
        *resets,
        *parts.contained(limits),
    ]
    return "\n".join(lines) + "\n"


# ---- what is different in each environment


def _dev(given: Given) -> Iterator[str]:
    for program in given.programs:
        yield parts.overlay(program.name, f"{given.names.compose}.dev.yml")
    if given.queue:
        yield parts.local("broker") + parts.published(_broker_port("dev"))
    for other in given.others:
        yield parts.local(other.name) + parts.published(*other.ports)


def _test(given: Given) -> Iterator[str]:
    for program in given.programs:
        yield parts.overlay(program.name, f"{given.names.compose}.test.yml")
    if given.queue:
        memory = '    volumes: !reset []\n    tmpfs: ["/data:mode=1777,size=64m"]\n'
        yield parts.local("broker") + memory + parts.published(_broker_port("test"))
    for other in given.others:
        yield parts.local(other.name) + _in_memory(other)
    runner = [f"  {line}" for line in _env_files(given)]
    if environment := _environment(given):
        runner += ["    environment:\n", *(f"  {line}" for line in environment)]
    runner += [f"  {line}" for line in _secrets(given)]
    if needs := _needs(given):
        runner += ["    depends_on:\n", *needs]
    if runner:
        yield "  test-runner:\n" + "".join(runner)


def _broker_port(environment: str) -> Port:
    return Port("PUBLISHED_BROKER_PORT", BROKER_PORTS[environment], 6379)


def _in_memory(other: Other) -> str:
    kept, targets = other.mounts()
    if not targets:
        return ""
    # JSON is YAML.
    folders = ", ".join(json.dumps(f"{target}:mode=1777") for target in targets)
    volumes = f"!override {json.dumps(kept)}" if kept else "!reset []"
    return f"    volumes: {volumes}\n    tmpfs: [{folders}]\n"


def _prod(given: Given) -> Iterator[str]:
    if given.queue:
        yield (
            "  # It reads a secret, which is the user's alone.\n"
            '  broker: {user: "${APP_UID:-10001}:${APP_GID:-10001}"}\n'
        )


def _native(given: Given) -> Iterator[str]:
    port = '"${PUBLISHED_BROKER_PORT:?}"'
    if given.queue:
        volumes = ".gangway/native/${COMPOSE_PROJECT_NAME}/volumes"
        yield (
            "  broker:\n    restart: on-failure\n    environment:\n      REDIS_BIND: 127.0.0.1\n"
            f"      REDIS_PORT: {port}\n      REDIS_DIR: {volumes}/broker-data\n"
        )
        programs = (each.name for each in given.programs)
        for name in ("migrate", "api", *programs, "test-runner"):
            yield f"  {name}: {{environment: {{BROKER_HOST: 127.0.0.1, BROKER_PORT: {port}}}}}\n"
    for other in given.others:
        yield (
            f"  # In containers alone.\n  {other.name}: {{profiles: !override [containers-only]}}\n"
        )
