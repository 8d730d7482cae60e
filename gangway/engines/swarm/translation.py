"""A service of the Compose model as what the Engine's API calls a ServiceSpec: pure data.

Names stand where the API wants numbers; `numbered` puts those in. What becomes of each of
Compose's keys is the table in `keys`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gangway.base.errors import Finding, FindingsError, GangwayError
from gangway.engines import delivered
from gangway.engines.swarm import keys, mounts, units
from gangway.engines.swarm.keys import finding
from gangway.engines.swarm.labels import DATA, HERE, STACK
from gangway.model.model import Model, replicas, unescaped

Service = Mapping[str, Any]
Json = dict[str, Any]

# What Compose writes into the images that it builds, and finds its containers by.
_COMPOSE: Final = "com.docker.compose."
# What somebody writes who chooses the nodes.
_ONE_NODE: Final = ("node.id", "node.hostname", "node.labels")
_ANY_ADDRESS: Final = ("", "0.0.0.0", "::")
_NO_NEW_PRIVILEGES: Final = re.compile(r"no-new-privileges(?:[:=](true|false))?")
_OPTION: Final = re.compile(r"([a-z-]+)[:=](.*)")
_CONDITIONS: Final = {"no": "none", "always": "any", "unless-stopped": "any", "": "any"}
_SECOND: Final = 10**9


@dataclass(frozen=True)
class Files:
    """The secrets and configs as the Swarm has them: by name, each file's path and its own name.

    The path is empty but where the secret is a folder, and the name where the file is.
    """

    secrets: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    configs: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)


def service_name(model: Model, name: str) -> str:
    """Return what the Swarm calls a service: as `docker stack` does."""
    return f"{model.project}_{name}"


def spec(model: Model, name: str, files: Files, *, labels: Mapping[str, str] | None = None) -> Json:
    """Return the ServiceSpec of a service; `labels` are more of the service's own.

    Raises FindingsError with every key that can't be kept.
    """
    service = unescaped(model.services[name])
    if wrong := list(complaints(model, name)):
        raise FindingsError(wrong, summary="a Swarm can't run this as the Compose files have it")
    one_shot = name in model.one_shots()
    container = dict(_container(model, service, files))
    task: Json = {
        "ContainerSpec": container,
        "Resources": _resources(service),
        "RestartPolicy": {"Condition": "none"} if one_shot else _restart(service),
        "Placement": _placement(model, service),
        "Networks": list(_networks(model, name, service)),
    }
    if logging := service.get("logging"):
        options = {key: str(value) for key, value in (logging.get("options") or {}).items()}
        task["LogDriver"] = {"Name": logging.get("driver") or "json-file", "Options": options}
    deploy = service.get("deploy") or {}
    made: Json = {
        "Name": service_name(model, name),
        "Labels": {**_texts(deploy.get("labels")), **(labels or {}), STACK: model.project},
        "TaskTemplate": task,
        "Mode": _mode(service, one_shot=one_shot),
        "EndpointSpec": {"Mode": "dnsrr", "Ports": list(_ports(service))},
    }
    if not one_shot and "job" not in str(deploy.get("mode")):
        made["UpdateConfig"] = _change(deploy.get("update_config"))
        made["RollbackConfig"] = _change(deploy.get("rollback_config"))
    return made


def complaints(model: Model, name: str) -> Iterator[Finding]:
    """Yield what a Swarm can't keep of a service."""
    service = unescaped(model.services[name])
    yield from keys.lost(keys.SERVICE, service, name)
    yield from keys.lost(keys.DEPLOY, service.get("deploy"), name, "deploy.")
    for network, attached in (service.get("networks") or {}).items():
        yield from keys.lost(keys.ATTACHED, attached, name, f"networks.{network}.")
        raw = (model.raw.get("networks") or {}).get(network)
        yield from keys.lost(keys.NETWORK, raw, f"network {network}")
    if "image" not in service:
        yield finding(name, "build", "there is no image of it yet", "build a release first")
    mode = (service.get("deploy") or {}).get("endpoint_mode")
    if mode not in (None, "", "dnsrr"):
        yield finding(
            name, "deploy.endpoint_mode", "names lead to each container (dnsrr)", "leave it out"
        )
    yield from _lost_ports(name, service)
    yield from _lost_order(name, service)
    for option in service.get("security_opt") or ():
        if _privilege(option) is None:
            yield finding(name, f"security_opt {option}", "Swarm has nothing for it")
    for kind in ("secrets", "configs"):
        for entry in service.get(kind) or ():
            if entry["source"] not in (model.raw.get(kind) or {}):
                yield finding(name, f"{kind} {entry['source']}", "the model has none of that name")
    yield from mounts.complaints(name, service)
    yield from _lost_numbers(name, service)


def numbered(
    made: Json, secrets: Mapping[str, str], configs: Mapping[str, str], networks: Mapping[str, str]
) -> Json:
    """Return a ServiceSpec with the numbers that the names in it have.

    Raises GangwayError for a name that has none.
    """
    task = made["TaskTemplate"]
    container = dict(task["ContainerSpec"])
    for kind, numbers in (("Secret", secrets), ("Config", configs)):
        container[f"{kind}s"] = [
            {**entry, f"{kind}ID": _number(numbers, kind, entry[f"{kind}Name"])}
            for entry in container.get(f"{kind}s") or ()
        ]
    attached = [
        {**entry, "Target": _number(networks, "network", entry["Target"])}
        for entry in task["Networks"]
    ]
    return {**made, "TaskTemplate": {**task, "ContainerSpec": container, "Networks": attached}}


def network(model: Model, name: str, *, encrypted: bool) -> Json:
    """Return what a network of the model is made with."""
    raw = unescaped((model.raw.get("networks") or {})[name]) or {}
    options = {
        key: str(value)
        for key, value in (raw.get("driver_opts") or {}).items()
        if not key.startswith("com.docker.network.bridge.")
    }
    if encrypted:
        options.setdefault("encrypted", "true")
    made: Json = {
        "Name": raw["name"],
        "Driver": "overlay",
        "Scope": "swarm",
        "Internal": bool(raw.get("internal")),
        "Attachable": bool(raw.get("attachable")),
        "EnableIPv6": bool(raw.get("enable_ipv6")),
        "Options": options,
        "Labels": {**_texts(raw.get("labels")), STACK: model.project},
    }
    if ipam := raw.get("ipam"):
        made["IPAM"] = {
            "Driver": ipam.get("driver") or "default",
            "Options": _texts(ipam.get("options")),
            "Config": [
                {
                    "Subnet": each.get("subnet") or "",
                    "IPRange": each.get("ip_range") or "",
                    "Gateway": each.get("gateway") or "",
                    "AuxiliaryAddresses": each.get("aux_addresses") or {},
                }
                for each in ipam.get("config") or ()
            ],
        }
    return made


def _container(model: Model, service: Service, files: Files) -> Iterator[tuple[str, Any]]:
    yield "Image", service["image"]
    yield (
        "Labels",
        {
            **_texts(service.get("labels")),
            STACK: model.project,
            # An image that Compose has built says that its containers are a project's of Compose.
            **{f"{_COMPOSE}{each}": "" for each in ("project", "service", "version")},
        },
    )
    for key, field_name in _AS_IT_IS.items():
        if service.get(key) not in (None, "", []):
            yield field_name, service[key]
    for key, (field_name, convert) in _CONVERTED.items():
        if service.get(key) is not None:
            yield field_name, convert(service[key])
    if dns := {
        field_name: [service[key]] if isinstance(service[key], str) else list(service[key])
        for key, field_name in _DNS.items()
        if service.get(key)
    }:
        yield "DNSConfig", dns
    yield "StopGracePeriod", units.nanoseconds(service.get("stop_grace_period") or "10s")
    empty = [*_empty(service, "secrets", files.secrets), *_empty(service, "configs", files.configs)]
    yield "Mounts", [*mounts.mounts(model, service), *empty]
    yield "Secrets", list(_files(service, "secrets", files.secrets, 0o400))
    yield "Configs", list(_files(service, "configs", files.configs, 0o444))


_AS_IT_IS: Final = {
    "entrypoint": "Command",
    "command": "Args",
    "hostname": "Hostname",
    "working_dir": "Dir",
    "user": "User",
    "read_only": "ReadOnly",
    "stop_signal": "StopSignal",
    "tty": "TTY",
    "stdin_open": "OpenStdin",
    "cap_add": "CapabilityAdd",
    "cap_drop": "CapabilityDrop",
    "isolation": "Isolation",
}
_DNS: Final = {"dns": "Nameservers", "dns_search": "Search", "dns_opt": "Options"}
_CHECK: Final = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start_period": "StartPeriod",
    "start_interval": "StartInterval",
}


def _health(check: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if check.get("disable"):
        yield "Test", ["NONE"]
        return
    if test := check.get("test"):
        yield "Test", ["CMD-SHELL", test] if isinstance(test, str) else list(test)
    for key, field_name in _CHECK.items():
        if check.get(key):
            yield field_name, units.nanoseconds(check[key])
    if check.get("retries"):
        yield "Retries", int(check["retries"])


def _ulimit(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    limits = value if isinstance(value, Mapping) else {"soft": value, "hard": value}
    yield "Name", key
    yield "Soft", int(limits["soft"])
    yield "Hard", int(limits["hard"])


def _hosts(hosts: Any) -> Iterator[str]:
    """Yield lines of /etc/hosts; Compose has them as `NAME=ADDRESS`, or a mapping."""
    named = isinstance(hosts, Mapping)
    for name, addresses in (
        hosts.items() if named else (re.split("[=:]", h, maxsplit=1) for h in hosts)
    ):
        for address in [addresses] if isinstance(addresses, str) else addresses:
            yield f"{address} {name}"


def _privilege(option: str) -> tuple[str, Any] | None:
    """Return a `security_opt` as the API has it; None for what it hasn't."""
    if found := _NO_NEW_PRIVILEGES.fullmatch(option):
        return "NoNewPrivileges", found[1] != "false"
    found = _OPTION.fullmatch(option)
    match found.groups() if found else ():
        case ("seccomp", "unconfined"):
            return "Seccomp", {"Mode": "unconfined"}
        case ("apparmor", "unconfined"):
            return "AppArmor", {"Mode": "disabled"}
        case ("apparmor", "docker-default"):
            return "AppArmor", {"Mode": "default"}
        case ("label", "disable"):
            return "SELinuxContext", {"Disable": True}
    return None


def _texts(values: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in (values or {}).items()}


def _environment(variables: Mapping[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in sorted(variables.items()) if value is not None]


# Each with what makes its value of Compose's.
_CONVERTED: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "environment": ("Env", _environment),
    "init": ("Init", bool),
    "group_add": ("Groups", lambda groups: [str(group) for group in groups]),
    "sysctls": ("Sysctls", _texts),
    "ulimits": ("Ulimits", lambda all_: [dict(_ulimit(*each)) for each in sorted(all_.items())]),
    "extra_hosts": ("Hosts", lambda hosts: list(_hosts(hosts))),
    "security_opt": ("Privileges", lambda options: dict(filter(None, map(_privilege, options)))),
    "healthcheck": ("Healthcheck", lambda check: dict(_health(check))),
}


def _files(
    service: Service, kind: str, there: Mapping[str, Sequence[tuple[str, str]]], mode: int
) -> Iterator[Json]:
    prefix = kind.removesuffix("s").capitalize()
    for entry, target in delivered.entries(service, kind):
        # A config is for anybody, as it is in plain containers.
        whose = delivered.owner(service if kind == "secrets" else {"user": "0:0"}, entry, mode)
        for path, name in there.get(entry["source"]) or ():
            if not name:
                continue
            yield {
                f"{prefix}Name": name,
                "File": {
                    "Name": f"{target}/{path}" if path else target,
                    "UID": str(whose.user),
                    "GID": str(whose.group),
                    "Mode": whose.mode,
                },
            }


def _empty(
    service: Service, kind: str, there: Mapping[str, Sequence[tuple[str, str]]]
) -> Iterator[Json]:
    """Yield a mount for each empty file: of what is empty on every node, as Compose has it, too."""
    for entry, target in delivered.entries(service, kind):
        for path, name in there.get(entry["source"]) or ():
            if not name:
                place = f"{target}/{path}" if path else target
                nothing = {"Type": "bind", "Source": "/dev/null", "Target": place}
                yield {**nothing, "ReadOnly": True}


def _networks(model: Model, name: str, service: Service) -> Iterator[Json]:
    known = model.raw.get("networks") or {}
    for each, attached in (service.get("networks") or {}).items():
        raw = (known.get(each) or {}).get("name") or f"{model.project}_{each}"
        aliases = dict.fromkeys([name, *((attached or {}).get("aliases") or ())])
        made: Json = {"Target": unescaped(raw), "Aliases": list(aliases)}
        if options := (attached or {}).get("driver_opts"):
            made["DriverOpts"] = _texts(options)
        yield made


def _resources(service: Service) -> Json:
    resources = (service.get("deploy") or {}).get("resources") or {}
    limits, reserved = resources.get("limits") or {}, resources.get("reservations") or {}
    found: Json = {"Limits": {}, "Reservations": {}}
    if cpus := limits.get("cpus") or service.get("cpus"):
        found["Limits"]["NanoCPUs"] = units.nano_cpus(cpus)
    if memory := limits.get("memory") or service.get("mem_limit"):
        found["Limits"]["MemoryBytes"] = units.size(memory)
    if pids := limits.get("pids") or service.get("pids_limit"):
        found["Limits"]["Pids"] = int(pids)
    if cpus := reserved.get("cpus"):
        found["Reservations"]["NanoCPUs"] = units.nano_cpus(cpus)
    if memory := reserved.get("memory") or service.get("mem_reservation"):
        found["Reservations"]["MemoryBytes"] = units.size(memory)
    return found


def _restart(service: Service) -> Json:
    policy = (service.get("deploy") or {}).get("restart_policy") or {}
    word, _, number = str(service.get("restart") or "").partition(":")
    # At once, Swarm would start what ends at once as often as the machine can.
    found: Json = {
        "Condition": policy.get("condition") or _CONDITIONS.get(word, word),
        "Delay": units.nanoseconds(policy.get("delay") or "1s"),
    }
    if attempts := policy.get("max_attempts") or number:
        found["MaxAttempts"] = int(attempts)
    if policy.get("window"):
        found["Window"] = units.nanoseconds(policy["window"])
    return found


def _placement(model: Model, service: Service) -> Json:
    placement = (service.get("deploy") or {}).get("placement") or {}
    constraints = [str(each) for each in placement.get("constraints") or ()]
    if not any(
        each.startswith(("node.id", "node.hostname", "node.labels")) for each in constraints
    ):
        # A volume is there where it was first used.
        constraints += [f"node.labels.{DATA}{v}=={HERE}" for v in mounts.data(model, service)]
    found: Json = {"Constraints": constraints}
    if most := placement.get("max_replicas_per_node"):
        found["MaxReplicas"] = int(most)
    if spread := [
        each["spread"] for each in placement.get("preferences") or () if "spread" in each
    ]:
        found["Preferences"] = [{"Spread": {"SpreadDescriptor": each}} for each in spread]
    if platform := service.get("platform"):
        system, _, machine = str(platform).partition("/")
        found["Platforms"] = [{"OS": system, "Architecture": machine.partition("/")[0]}]
    return found


def _mode(service: Service, *, one_shot: bool) -> Json:
    mode = (service.get("deploy") or {}).get("mode") or "replicated"
    number = replicas(service)
    if one_shot or mode == "replicated-job":
        return {"ReplicatedJob": {"MaxConcurrent": number, "TotalCompletions": number}}
    if mode == "global-job":
        return {"GlobalJob": {}}
    return {"Global": {}} if mode == "global" else {"Replicated": {"Replicas": number}}


def _change(config: Mapping[str, Any] | None) -> Json:
    """Return how a service is changed: all replicas at once where the new ones come first."""
    config = config or {}
    order = config.get("order") or "stop-first"
    at_once = config.get("parallelism")
    found: Json = {
        "Order": order,
        "Parallelism": (order != "start-first") if at_once is None else int(at_once),
        # Whoever deploys brings the whole release back.
        "FailureAction": config.get("failure_action") or "pause",
        # What runs has been healthy before: this is only how long its end would be a failure yet.
        "Monitor": units.nanoseconds(config.get("monitor") or "1s"),
        "MaxFailureRatio": float(config.get("max_failure_ratio") or 0),
    }
    if config.get("delay"):
        found["Delay"] = units.nanoseconds(config["delay"])
    found["Parallelism"] = int(found["Parallelism"])
    return found


def _ports(service: Service) -> Iterator[Json]:
    for port in service.get("ports") or ():
        yield {
            "Protocol": port.get("protocol") or "tcp",
            "TargetPort": int(port["target"]),
            "PublishedPort": int(port.get("published") or 0),
            "PublishMode": "host",
        }


def _lost_ports(name: str, service: Service) -> Iterator[Finding]:
    for port in service.get("ports") or ():
        shown = f"ports {port.get('host_ip') or ''}:{port.get('published') or ''}:{port['target']}"
        if port.get("host_ip") not in (None, *_ANY_ADDRESS):
            why = "a Swarm publishes a port on every address of a machine"
            fix = "BIND_ADDRESS=0.0.0.0, or a firewall in front"
            yield finding(name, shown, why, fix)
        elif not str(port.get("published") or "0").isdecimal():
            yield finding(name, shown, "a Swarm publishes one port, not a range", "name one")


def _lost_order(name: str, service: Service) -> Iterator[Finding]:
    """Yield an order of changes that would wait for ever: a node's port is one container's."""
    update = (service.get("deploy") or {}).get("update_config") or {}
    if service.get("ports") and update.get("order") == "start-first":
        yield finding(
            name,
            "deploy.update_config.order",
            "a new container waits for the port that the old one has",
            "leave it out: one node after the other gets the new one",
        )


def _lost_numbers(name: str, service: Service) -> Iterator[Finding]:
    """Yield what reads as no number, duration or size: by trying."""
    deploy = service.get("deploy") or {}
    parts: dict[str, Callable[[], object]] = {
        "deploy.resources": lambda: _resources(service),
        "deploy.restart_policy": lambda: _restart(service),
        "deploy.update_config": lambda: _change(deploy.get("update_config")),
        "deploy.rollback_config": lambda: _change(deploy.get("rollback_config")),
        "healthcheck": lambda: dict(_health(service.get("healthcheck") or {})),
        "stop_grace_period": lambda: units.nanoseconds(service.get("stop_grace_period") or "0"),
        "shm_size": lambda: units.size(service.get("shm_size") or "0"),
    }
    for key, read in parts.items():
        try:
            read()
        except ValueError as error:
            yield finding(name, key, str(error))


def _number(numbers: Mapping[str, str], kind: str, name: str) -> str:
    if name not in numbers:
        raise GangwayError(f"the Swarm has no {kind.lower()} {name}")
    return numbers[name]
