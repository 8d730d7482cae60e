"""The Compose files of an adopted app's stack: blocks of text, put together."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, Final

import yaml

from gangway.operations.adoption import parts, theirs
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
        "test.yml": _overlay(given, "in tests", _test(given)) + _media_in_memory(given),
        "prod.yml": _overlay(given, "in production", _prod(given))
        + ("\nvolumes:\n  static: {}\n" if given.static else ""),
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
    texts = [f"# What {given.names.project} has besides {given.names.compose}.yml.\n"]
    if app := _app(given):
        about = "# What the app gets besides, in every service that runs it.\n"
        texts.append(about + "x-app: &app\n" + "".join(app))
    texts.append(_services(_blocks(given)))
    tops: dict[str, dict[str, str]] = {
        "secrets": {
            name.lower(): f'{{file: "${{SECRETS_DIR:-./secrets/prod}}/{name.lower()}"}}'
            for name in given.secrets
        },
        "configs": {},
        "volumes": dict.fromkeys(_volumes(given), "{}"),
    }
    for part, entries in tops.items():
        for other in given.others:
            for name, options in (other.theirs.top.get(part) or {}).items():
                entries.setdefault(name, _flow(options))
        if entries:
            lines = [f"  {name}: {text}\n" for name, text in entries.items()]
            texts.append(f"{part}:\n" + "".join(lines))
    return "\n".join(texts)


def _app(given: Given) -> list[str]:
    """Return the lines of what every service that runs the app gets besides the base's."""
    environment = _environment(given)
    return [
        *_env_files(given),
        *(["  environment: &app-environment\n", *environment] if environment else []),
        *_secrets(given),
        *_media(given),
    ]


def _volumes(given: Given) -> Iterator[str]:
    if given.queue:
        yield "broker-data"
    if given.media:
        yield "media"


def _media(given: Given) -> list[str]:
    """Return the lines that mount what the app may write to."""
    return [f'  volumes: ["media:{given.media}"]\n'] if given.media else []


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
        yield _other(other, given)


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
      REDIS_DIR: /var/tmp
    # Everybody may write there in any image, and a new volume takes that over.
    volumes: ["broker-data:/var/tmp"]
    deploy:
      resources: {parts.limits("BROKER", memory="192m")}
"""


def _other(other: Other, given: Given) -> str:
    copy = other.theirs.copy
    needs = _flow(dict(other.needs(given.others)))
    waits = f"    depends_on: !override {needs}"
    if copy is None:
        about = f"As {other.foreign.file} has it, but for what stands here and in dev.yml."
        head = [f"    extends: {{file: {other.foreign.file}, service: {other.foreign.name}}}"]
        head += [
            f"    {key}: !reset {nothing}"
            for key, nothing in _RESET.items()
            if other.definition.get(key) or (key == "ports" and other.ports)
        ]
        if needs != "{}":
            head = [line for line in head if "depends_on" not in line] + [waits]
        if env_file := other.definition.get("env_file"):
            files = theirs.optional_env_files(env_file, other.folder)
            head.append(f"    env_file: !override {_flow(files)}")
    else:
        about = f"A copy: {other.foreign.file} can't be read without a .env of its own."
        dumped = yaml.safe_dump(copy, sort_keys=False, allow_unicode=True, width=100)
        head = textwrap.indent(dumped, "    ").splitlines() if copy else []
        head += [waits.replace("!override ", "")] if needs != "{}" else []
    lines = [
        f"  # {about}",
        f"  {other.name}:",
        *head,
        *parts.contained(parts.limits(other.prefix, **other.limits())),
    ]
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, default_flow_style=True, width=10**6)
    return text.strip()


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
        memory = '    volumes: !reset []\n    tmpfs: ["/var/tmp:mode=1777,size=64m"]\n'
        yield parts.local("broker") + memory + parts.published(_broker_port("test"))
    for other in given.others:
        yield parts.local(other.name) + _in_memory(other)
    runner = [f"  {line}" for line in _env_files(given)]
    if environment := _environment(given):
        runner += ["    environment:\n", *(f"  {line}" for line in environment)]
    runner += [f"  {line}" for line in (*_secrets(given), *_media(given))]
    if needs := _needs(given):
        runner += ["    depends_on:\n", *needs]
    if runner:
        yield "  test-runner:\n" + "".join(runner)


def _media_in_memory(given: Given) -> str:
    options = "{type: tmpfs, device: tmpfs, o: mode=1777}"
    return f"\nvolumes:\n  media: {{driver_opts: {options}}}\n" if given.media else ""


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
    if given.static:
        yield _static(given)
    if served := list(_served(given)):
        mounts = ", ".join(f'"{volume}:/srv/{volume}:ro"' for volume in served)
        waits = "    depends_on: {static: {condition: service_completed_successfully}}\n"
        yield f"  nginx:\n    volumes: [{mounts}]\n" + (waits if given.static else "")
    if given.queue:
        yield (
            "  # It reads a secret, which is the user's alone.\n"
            '  broker: {user: "${APP_UID:-10001}:${APP_GID:-10001}"}\n'
        )
    if mounts := ", ".join(_backed_up(given)):
        yield f"  # They go along with a backup.\n  backup:\n    volumes: [{mounts}]\n"
    for other in given.others:
        if other.theirs.for_development:
            yield (
                "  # For developers: without this line it is there in production, too.\n"
                f"  {other.name}: {{profiles: !override [development-only]}}\n"
            )


def _backed_up(given: Given) -> Iterator[str]:
    """Yield the mounts of the volumes that nobody could make again."""
    if given.media:
        yield '"media:/var/lib/volumes/media"'
    if given.queue:
        yield '"broker-data:/var/lib/volumes/broker"'


def _served(given: Given) -> Iterator[str]:
    """Yield the volumes that the proxy serves files of."""
    if given.static:
        yield "static"
    if given.media and given.media_url:
        yield "media"


def _static(given: Given) -> str:
    return f"""\
  # Puts the files that the image was built with where the proxy finds them, and ends. Those of
  # earlier releases stay, for the pages that still ask for them.
  static:
    extends: {{file: {given.names.compose}.yml, service: migrate}}
    entrypoint: [cp, --recursive, {given.static}/., /srv/static/]
    command: !reset []
    environment: !override {{ENVIRONMENT: "${{ENVIRONMENT:-production}}"}}
    secrets: !reset []
    depends_on: !override {{migrate: {{condition: service_completed_successfully}}}}
    volumes: ["static:/srv/static"]
"""


def _native(given: Given) -> Iterator[str]:
    if given.queue:
        volumes = ".gangway/native/${COMPOSE_PROJECT_NAME}/volumes"
        yield (
            "  broker:\n    restart: on-failure\n    environment:\n      REDIS_BIND: 127.0.0.1\n"
            f"      REDIS_PORT: 6379\n      REDIS_DIR: {volumes}/broker-data\n"
        )
    for other in given.others:
        yield parts.not_native(other.name)
