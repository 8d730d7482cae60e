"""The rules for rendered Compose models: each is a function that yields what breaks it.

`@rule()` puts one in RULES, for all kinds of environments or for those named. A rule sees a
Subject, which is one model; comparisons between models are tests in test_environments.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gangway.model import queues
from gangway.model.model import Model, keeps_data
from gangway.settings.contract import ALL_KINDS, Contract
from gangway.settings.environment import DEFAULT_IMAGES, KINDS, Kind

Service = Mapping[str, Any]
Complaints = Iterator[str]

PROXY: Final = "nginx"
# Its own network, on which it publishes; what takes the host's address from any other.
FRONT: Final = "front"
NO_HOST: Final = "com.docker.network.bridge.inhibit_ipv4"
MIGRATE: Final = "migrate"
TEST_RUNNER: Final = "test-runner"
# What holds data: the variable that tells a service where it is, and the directory of the data.
DATA_STORES: Final = {
    "postgres": ("POSTGRES_HOST", "/var/lib/postgresql"),
    "redis": ("REDIS_HOST", "/data"),
}
APP_DOCKERFILES: Final = ("docker/app.Dockerfile", "docker/frontend.Dockerfile")
SOURCE: Final = "/srv"
# Volumes that may lie there: what users upload, and what the build step has collected.
WRITTEN: Final = ("media", "static")
# Programs that start what is due: two of them start it twice.
CLOCKS: Final = re.compile(r"\bbeat\b|\s-B\b|schedul|\bcron")
# The names of images that are built here without a registry; docker/offline/ says from what.
OFFLINE: Final = "gangway.local/"
DURABILITY_OFF: Final = re.compile(r"(fsync|synchronous_commit|full_page_writes)=off|--no-?sync\b")


@dataclass(frozen=True)
class Subject:
    """A rendered model, the kind of environment and the source of images that it is for."""

    raw: Mapping[str, Any]
    kind: Kind
    contract: Contract
    images: str = DEFAULT_IMAGES

    @property
    def services(self) -> Mapping[str, Service]:
        """All services by name."""
        return Model(self.raw).services

    @property
    def long_running(self) -> dict[str, Service]:
        """The services that are meant to go on until they are stopped."""
        ends = Model(self.raw).one_shots() | {MIGRATE, TEST_RUNNER}
        return {name: service for name, service in self.services.items() if name not in ends}

    @property
    def apps(self) -> dict[str, Service]:
        """The services that are built from the apps' Dockerfiles."""
        return {
            name: service
            for name, service in self.services.items()
            if _build(service).get("dockerfile") in APP_DOCKERFILES
        }


@dataclass(frozen=True)
class Rule:
    """A rule's name, the kinds of environments that it holds in, and what finds breaches."""

    name: str
    kinds: tuple[Kind, ...]
    complaints: Callable[[Subject], Iterable[str]]

    def __str__(self) -> str:
        """Return the name that the test's report shows."""
        return self.name


RULES: Final[dict[str, Rule]] = {}


def rule(*kinds: Kind) -> Callable[[Callable[[Subject], Complaints]], None]:
    """Add the decorated function to RULES, for these kinds (all of them if none is named)."""

    def add(function: Callable[[Subject], Complaints]) -> None:
        name = function.__name__
        RULES[name] = Rule(name, kinds or ALL_KINDS, function)

    return add


# ---- production: what is reachable, and what is let in


@rule("prod")
def only_the_proxy_publishes_a_port(subject: Subject) -> Complaints:
    for name, service in subject.services.items():
        if name != PROXY and service.get("ports"):
            yield f"{name} publishes {[port['target'] for port in service['ports']]}"


@rule("prod")
def data_stores_are_on_internal_networks_only(subject: Subject) -> Complaints:
    networks = subject.raw.get("networks") or {}
    for name in DATA_STORES:
        for network in subject.services[name].get("networks") or {"default": None}:
            if not networks.get(network, {}).get("internal"):
                yield f"{name} is on {network}, which is not internal"


@rule("prod")
def the_proxy_does_not_reach_the_data_stores(subject: Subject) -> Complaints:
    proxy = set(subject.services.get(PROXY, {}).get("networks") or {})
    for name in DATA_STORES:
        for network in proxy & set(subject.services[name].get("networks") or {}):
            yield f"{PROXY} and {name} are both on {network}"


@rule("prod")
def apps_reach_nothing_outside(subject: Subject) -> Complaints:
    networks = subject.raw.get("networks") or {}
    if PROXY not in subject.services:  # The base alone publishes nothing and runs nowhere.
        return
    for name, service in subject.services.items():
        for network in service.get("networks") or {"default": None}:
            made = networks.get(network, {})
            if name == PROXY and network == FRONT:
                continue
            if not made.get("internal"):
                yield f"{name} is on {network}, which has a way out"
            elif (made.get("driver_opts") or {}).get(NO_HOST) != "true":
                yield f"{name} is on {network}, on which the host answers"


@rule("prod")
def nothing_of_the_host_is_mounted(subject: Subject) -> Complaints:
    for name, service in subject.services.items():
        for mount in service.get("volumes") or ():
            if mount["type"] not in ("volume", "tmpfs"):
                yield f"{name} mounts {mount['source']} of the host"
        for config in service.get("configs") or ():
            # Part of a release as images are, and never an app's code.
            file = subject.raw["configs"][config["source"]].get("file", "")
            if not re.search(r"/(scripts|stacks/[^/]+)/", file) or "/apps/" in file:
                yield f"{name} mounts {file or 'no file'} as the config {config['source']}"


@rule("prod")
def nothing_lies_over_the_source_in_the_image(subject: Subject) -> Complaints:
    for name, service in subject.services.items():
        written = {m["target"] for m in service.get("volumes") or () if m["source"] in WRITTEN}
        for target, _ in _mounts(service):
            if target not in written and (target == SOURCE or target.startswith(f"{SOURCE}/")):
                yield f"{name} mounts something on {target}"


@rule("prod")
def images_are_built_for_production(subject: Subject) -> Complaints:
    for name, service in subject.apps.items():
        # The worker's is production's with a browser.
        if (target := _build(service).get("target")) not in ("production", "worker"):
            yield f"{name} is built for {target}"


@rule("prod")
def apps_know_that_it_is_production(subject: Subject) -> Complaints:
    for name, service in subject.apps.items():
        environment = _environment(service)
        if KINDS.get(environment.get("ENVIRONMENT", "")) != "prod":
            yield f"{name} has ENVIRONMENT={environment.get('ENVIRONMENT')}"
        if environment.get("RELOAD") not in (None, "", "0"):
            yield f"{name} reloads when its source changes"


# ---- production: secrets


@rule("prod")
def no_secret_is_in_an_environment(subject: Subject) -> Complaints:
    known = _tell_tale_values(subject.contract)
    for name, service in subject.services.items():
        for variable, value in _environment(service).items():
            if value and not variable.endswith("_FILE") and subject.contract.is_secret(variable):
                yield f"{name} has {variable} in its environment"
            elif value in known:
                yield f"{name} has a default secret as {variable}"
            elif re.search(r"://[^/@\s]*:[^/@\s]+@", value):
                yield f"{name} has a password within {variable}"


@rule("prod")
def secrets_are_files_of_the_secrets_directory(subject: Subject) -> Complaints:
    sources = subject.raw.get("secrets") or {}
    for name, service in subject.services.items():
        for secret in service.get("secrets") or ():
            file = sources[secret["source"]].get("file", "")
            # An empty one is none: that which is not asked for.
            if "/secrets/" not in file and file != os.devnull:
                yield f"{name} gets the secret {secret['source']} from {file or 'no file'}"


# ---- production: what a container may do, and use up


@rule("prod")
def users_are_set_and_not_root(subject: Subject) -> Complaints:
    for name, service in subject.services.items():
        user, _, group = str(service.get("user") or "").partition(":")
        if not all(part.isdecimal() and int(part) for part in (user, group)):
            yield f"{name} runs as {service.get('user') or 'whom the image says'}"


@rule("prod")
def file_systems_are_read_only(subject: Subject) -> Complaints:
    for name, service in subject.services.items():
        if service.get("read_only") is not True:
            yield f"{name} can write to its file system"


@rule("prod")
def capabilities_are_dropped(subject: Subject) -> Complaints:
    for name, service in subject.services.items():
        if service.get("cap_drop") != ["ALL"]:
            yield f"{name} drops {service.get('cap_drop') or 'no capability'}"
        if service.get("cap_add"):
            yield f"{name} adds {service['cap_add']}"


@rule("prod")
def no_new_privileges_can_be_got(subject: Subject) -> Complaints:
    for name, service in subject.services.items():
        if "no-new-privileges:true" not in (service.get("security_opt") or ()):
            yield f"{name} can get new privileges"


@rule()
def no_container_shares_with_the_host(subject: Subject) -> Complaints:
    for name, service in subject.services.items():
        if service.get("privileged"):
            yield f"{name} is privileged"
        for key in ("network_mode", "pid", "ipc", "userns_mode", "uts"):
            if service.get(key) == "host":
                yield f"{name} has the host's {key}"
        for mount in service.get("volumes") or ():
            source = str(mount.get("source"))
            if source in ("/", "/run", "/var/run") or source.endswith(".sock"):
                yield f"{name} mounts {mount['source']}"


@rule("prod")
def limits_are_set(subject: Subject) -> Complaints:
    for name, service in subject.services.items():
        limits = (_deploy(service).get("resources") or {}).get("limits") or {}
        for resource in ("cpus", "memory", "pids"):
            if not float(limits.get(resource) or 0) > 0:
                yield f"{name} has no limit of {resource}"


@rule("prod")
def what_stops_is_started_again(subject: Subject) -> Complaints:
    for name, service in subject.long_running.items():
        if service.get("restart") not in ("unless-stopped", "always"):
            yield f"{name} has restart: {service.get('restart')}"


# ---- every environment: start, health and stop


@rule()
def services_have_a_health_check_that_probes_at_once(subject: Subject) -> Complaints:
    for name, service in subject.long_running.items():
        check = service.get("healthcheck") or {}
        if not check.get("test") or check.get("disable"):
            yield f"{name} has no health check"
            continue
        if not 0 < _seconds(check.get("start_interval")) <= 0.2:
            yield f"{name} is probed every {check.get('start_interval') or 'interval'} at its start"
        if not _seconds(check.get("start_period")) > 0:
            yield f"{name} has no start_period"


@rule()
def health_checks_probe_something_at_little_cost(subject: Subject) -> Complaints:
    for name, service in subject.services.items():
        test = (service.get("healthcheck") or {}).get("test") or []
        command = " ".join(test[1:]).strip()
        if test and (test[0] == "NONE" or re.fullmatch(r"(/bin/)?true|:|exit 0", command)):
            yield f"{name}'s health check always passes: {command or test[0]}"
        if found := re.search(r"\b(curl|wget|python[0-9.]*|node)\b", command):
            yield f"{name}'s health check starts {found[0]}"


@rule()
def apps_have_an_init_that_passes_signals_on(subject: Subject) -> Complaints:
    for name, service in subject.apps.items():
        if service.get("init") is not True:
            yield f"{name} has no init"


@rule()
def what_needs_the_database_waits_for_its_migration(subject: Subject) -> Complaints:
    store, _ = DATA_STORES["postgres"]
    for name, service in subject.apps.items():
        needs = _conditions(service)
        if name == MIGRATE:
            # Its own entrypoint waits for the database, and says why one doesn't answer.
            if "postgres" not in needs or service.get("command") != ["migrate"]:
                yield f"{name} does not start after postgres to wait for it"
        elif needs.get(MIGRATE) != "service_completed_successfully":
            yield f"{name} does not wait for {MIGRATE} to have ended well"
        if store in _environment(service) and "postgres" not in _waited_for(subject, name):
            yield f"{name} has {store} and does not wait for postgres"


@rule()
def what_uses_redis_waits_for_it(subject: Subject) -> Complaints:
    store, _ = DATA_STORES["redis"]
    # A migration is told where it is, and most have no use for it.
    for name, service in subject.apps.items():
        if (
            name != MIGRATE
            and store in _environment(service)
            and _conditions(service).get("redis") != "service_healthy"
        ):
            yield f"{name} does not wait for redis to be healthy"


@rule()
def redis_loses_no_job(subject: Subject) -> Complaints:
    model = Model(subject.raw)
    if (names := queues.workers(model)) and queues.loses_jobs(model):
        yield f"{names[0]} takes its jobs from Redis, which lets any key go once it is full"


@rule("prod")
def the_proxy_waits_for_what_it_passes_on_to(subject: Subject) -> Complaints:
    if PROXY in subject.services:
        needs = _conditions(subject.services[PROXY])
        for name in {"api", "app"} & set(subject.services):
            if needs.get(name) != "service_healthy":
                yield f"{PROXY} does not wait for {name} to be healthy"


@rule("prod")
def what_is_behind_the_proxy_believes_it(subject: Subject) -> Complaints:
    passed_on = _environment(subject.services.get(PROXY, {}))
    for place in ("PROXY_ROOT", "PROXY_API"):
        name = str(passed_on.get(place)).partition(":")[0]
        told = _environment(subject.services.get(name, {}))
        # Of ours, that is: a server in Node.js goes by other variables.
        if told.get("APP_INTERFACE") in ("asgi", "wsgi") and told.get("FORWARDED_ALLOW_IPS") != "*":
            yield f"{name} takes everybody for a client of the proxy's address"


# ---- every environment: what a deploy may start beside what runs


@rule()
def only_what_may_be_there_twice_starts_beside_its_predecessor(subject: Subject) -> Complaints:
    for name, service in subject.services.items():
        if (_deploy(service).get("update_config") or {}).get("order") != "start-first":
            continue
        told = _environment(service)
        words = f"{name} {told.get('APP_TARGET')} {service.get('command')}"
        if told.get("APP_INTERFACE") == "cron" or CLOCKS.search(words):
            yield f"{name} would do everything twice"
        for mount in service.get("volumes") or ():
            if keeps_data(mount) and mount["source"] not in WRITTEN:
                yield f"{name} would share its data in {mount['source']}"
        if subject.kind == "prod" and service.get("ports"):
            yield f"{name} would find its port taken"


@rule("prod")
def what_is_behind_the_proxy_starts_beside_its_predecessor(subject: Subject) -> Complaints:
    passed_on = _environment(subject.services.get(PROXY, {}))
    for place in ("PROXY_ROOT", "PROXY_API"):
        name = str(passed_on.get(place)).partition(":")[0]
        update = _deploy(subject.services.get(name, {})).get("update_config") or {}
        if name in subject.services and update.get("order") != "start-first":
            yield f"{name} is stopped before its successor answers"


# ---- every environment: logs, images, names, ports


@rule()
def logs_are_rotated(subject: Subject) -> Complaints:
    for name, service in subject.services.items():
        logging = service.get("logging") or {}
        options = logging.get("options") or {}
        if logging.get("driver") not in ("json-file", "local"):
            yield f"{name} logs to {logging.get('driver')}"
        for option in ("max-size", "max-file"):
            if not options.get(option):
                yield f"{name} has no {option} for its log"


@rule()
def images_are_pinned(subject: Subject) -> Complaints:
    for name, service in subject.services.items():
        build = _build(service)
        if build:
            bases = {key: value for key, value in build.get("args", {}).items() if "IMAGE" in key}
            # Node's is for an app's assets alone.
            first = bases.get("PYTHON_IMAGE") if "APP" in build.get("args", {}) else bases
            if not first:
                yield f"{name} does not say what its image is based on"
            if _tag(service.get("image", "")) in ("", "latest"):
                yield f"{name} names the image that is built {service.get('image')}"
        else:
            bases = {"image": service["image"]}
        for image in bases.values():
            # Our own bases carry the major version: what is in them is locked by hash.
            precision = r"\d+" if subject.images == "offline" else r"v?\d+\.\d+"
            if not re.match(precision, _tag(image)):
                yield f"{name} uses {image}, which does not state its version"
            if image.startswith(OFFLINE) != (subject.images == "offline"):
                yield f"{name} uses {image} with the images of {subject.images}"


@rule()
def no_container_has_a_fixed_name(subject: Subject) -> Complaints:
    for name, service in subject.services.items():
        if service.get("container_name"):
            yield f"{name} has container_name: {service['container_name']}"


@rule("dev", "test")
def ports_are_bound_to_this_machine(subject: Subject) -> Complaints:
    for port in Model(subject.raw).published():
        if port.host != "127.0.0.1":
            yield f"{port.service} publishes {port.port} on {port.host}"


@rule()
def merging_repeats_nothing(subject: Subject) -> Complaints:
    for name, service in subject.services.items():
        ports = [port["target"] for port in service.get("ports") or ()]
        lists = {"port": ports, "mount point": [target for target, _ in _mounts(service)]} | {
            key: [item["source"] if isinstance(item, dict) else item for item in service[key]]
            for key in ("secrets", "configs", "cap_drop", "security_opt", "profiles", "dns")
            if service.get(key)
        }
        for key, items in lists.items():
            for item in {item for item in items if items.count(item) > 1}:
                yield f"{name} has the {key} {item} more than once"


# ---- durability: off in tests and nowhere else


@rule("dev", "prod")
def data_outlives_a_power_cut(subject: Subject) -> Complaints:
    postgres = subject.services["postgres"]
    for text in _texts(postgres):
        if found := DURABILITY_OFF.search(text):
            yield f"postgres has {found[0]}"
    _, directory = DATA_STORES["postgres"]
    if (kind := dict(_mounts(postgres)).get(directory)) != "volume":
        yield f"postgres keeps its data in {kind or 'the container'}"


@rule("test")
def tests_keep_nothing(subject: Subject) -> Complaints:
    volumes = subject.raw.get("volumes") or {}
    kept = [name for name in volumes if not _in_memory(volumes[name])]
    if kept:
        yield f"there are volumes: {', '.join(kept)}"
    for name, (_, directory) in DATA_STORES.items():
        if (kind := dict(_mounts(subject.services[name])).get(directory)) != "tmpfs":
            yield f"{name} keeps its data in {kind or 'the container'}"
    if not any("fsync=off" in text for text in _texts(subject.services["postgres"])):
        yield "postgres waits for the disk"


# ---- reading a model


def internal_ports(raw: Mapping[str, Any]) -> dict[str, set[int]]:
    """Return the ports within the networks that the model states for each service that has any."""
    found: dict[str, set[int]] = {}
    for name, service in Model(raw).services.items():
        test = (service.get("healthcheck") or {}).get("test") or []
        ports = [port["target"] for port in service.get("ports") or ()]
        ports += [word for word in test[1:] if word.isdecimal() and "http" in test]
        ports += filter(None, (_environment(service).get(name) for name in ("APP_PORT", "PORT")))
        if ports:
            found[name] = {int(port) for port in ports}
    return found


def _build(service: Service) -> Mapping[str, Any]:
    return service.get("build") or {}


def _deploy(service: Service) -> Mapping[str, Any]:
    return service.get("deploy") or {}


def _environment(service: Service) -> dict[str, str]:
    return {
        name: "" if value is None else str(value)
        for name, value in (service.get("environment") or {}).items()
    }


def _conditions(service: Service) -> dict[str, str]:
    return {name: need["condition"] for name, need in (service.get("depends_on") or {}).items()}


def _waited_for(subject: Subject, service: str) -> list[str]:
    return [name for name in Model(subject.raw).wanted([service]) if name != service]


def _in_memory(volume: Mapping[str, Any]) -> bool:
    return (volume.get("driver_opts") or {}).get("type") == "tmpfs"


def _mounts(service: Service) -> list[tuple[str, str]]:
    # (mount point, kind), those that come twice included.
    volumes = [(mount["target"], mount["type"]) for mount in service.get("volumes") or ()]
    return volumes + [(entry.partition(":")[0], "tmpfs") for entry in service.get("tmpfs") or ()]


def _texts(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _texts(item)
    elif node is not None:
        yield str(node)


def _tag(image: str) -> str:
    return image.rpartition("/")[2].partition("@")[0].partition(":")[2]


def _seconds(duration: str | None) -> float:
    units = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
    parts = re.findall(r"([0-9.]+)(us|ms|s|m|h)", duration or "")
    return sum(float(number) * units[unit] for number, unit in parts)


def _tell_tale_values(contract: Contract) -> set[str]:
    # Known secrets, but for words such as `postgres` that are an ordinary value elsewhere.
    specs = contract.variables.values()
    known = {value for spec in specs if spec.secret for value in spec.insecure}
    known |= {spec.default_for(kind) or "" for spec in specs if spec.secret for kind in ALL_KINDS}
    ordinary = {
        spec.default_for(kind) or "" for spec in specs if not spec.secret for kind in ALL_KINDS
    }
    return known - ordinary - {""}
