"""Every key that Compose knows, and what becomes of it in a Swarm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from gangway.base.errors import Finding


class Kept(NamedTuple):
    """A key that arrives in the service's spec, and where."""

    where: str


class Needless(NamedTuple):
    """A key that a service made of an image and a merged model doesn't need, and why."""

    why: str


class Lost(NamedTuple):
    """A key that Swarm has nothing for, and what to do instead."""

    fix: str


How = Kept | Needless | Lost

_LEAVE_OUT: Final = Lost("leave it out, or keep to one machine (--engine docker)")
_NO_NODE: Final = Lost("a device or a namespace of one machine: keep that service out of the Swarm")

SERVICE: Final[Mapping[str, How]] = {
    "annotations": _LEAVE_OUT,
    "attach": Needless("nothing is attached"),
    "blkio_config": _LEAVE_OUT,
    "build": Needless("the image is there, with the release"),
    "cap_add": Kept("ContainerSpec.CapabilityAdd"),
    "cap_drop": Kept("ContainerSpec.CapabilityDrop"),
    "cgroup": _NO_NODE,
    "cgroup_parent": _NO_NODE,
    "command": Kept("ContainerSpec.Args"),
    "configs": Kept("ContainerSpec.Configs"),
    "container_name": Lost("leave it out: the service's own name leads to its containers"),
    "cpu_count": Lost("write deploy.resources.limits.cpus"),
    "cpu_percent": Lost("write deploy.resources.limits.cpus"),
    "cpu_period": Lost("write deploy.resources.limits.cpus"),
    "cpu_quota": Lost("write deploy.resources.limits.cpus"),
    "cpu_rt_period": _LEAVE_OUT,
    "cpu_rt_runtime": _LEAVE_OUT,
    "cpu_shares": Needless("a wish and no limit: on a node, each gets its share"),
    "cpus": Kept("Resources.Limits.NanoCPUs"),
    "cpuset": Lost("write deploy.resources.limits.cpus"),
    "credential_spec": _LEAVE_OUT,
    "depends_on": Needless("the start and the deploy go by it"),
    "deploy": Kept("Mode, Resources, Placement, UpdateConfig, RestartPolicy, Labels"),
    "develop": Needless("development's"),
    "device_cgroup_rules": _NO_NODE,
    "devices": _NO_NODE,
    "dns": Kept("ContainerSpec.DNSConfig.Nameservers"),
    "dns_opt": Kept("ContainerSpec.DNSConfig.Options"),
    "dns_search": Kept("ContainerSpec.DNSConfig.Search"),
    "domainname": _LEAVE_OUT,
    "driver_opts": _LEAVE_OUT,
    "entrypoint": Kept("ContainerSpec.Command"),
    "env_file": Needless("merged into environment"),
    "environment": Kept("ContainerSpec.Env"),
    "expose": Needless("services of a network reach each other's ports"),
    "extends": Needless("merged"),
    "external_links": Lost("write networks with external: true"),
    "extra_hosts": Kept("ContainerSpec.Hosts"),
    "gpus": _NO_NODE,
    "group_add": Kept("ContainerSpec.Groups"),
    "healthcheck": Kept("ContainerSpec.Healthcheck"),
    "hostname": Kept("ContainerSpec.Hostname"),
    "image": Kept("ContainerSpec.Image"),
    "init": Kept("ContainerSpec.Init"),
    "ipc": _NO_NODE,
    "isolation": Kept("ContainerSpec.Isolation"),
    "label_file": Needless("merged into labels"),
    "labels": Kept("ContainerSpec.Labels"),
    "links": Lost("write networks.NAME.aliases at the other service"),
    "logging": Kept("LogDriver"),
    "mac_address": _LEAVE_OUT,
    "mem_limit": Kept("Resources.Limits.MemoryBytes"),
    "mem_reservation": Kept("Resources.Reservations.MemoryBytes"),
    "mem_swappiness": _LEAVE_OUT,
    "memswap_limit": _LEAVE_OUT,
    "models": _LEAVE_OUT,
    "network_mode": Lost("write networks"),
    "networks": Kept("Networks"),
    "oom_kill_disable": _LEAVE_OUT,
    "oom_score_adj": _LEAVE_OUT,
    "pid": _NO_NODE,
    "pids_limit": Kept("Resources.Limits.Pids"),
    "platform": Kept("Placement.Platforms"),
    "ports": Kept("EndpointSpec.Ports, in host mode"),
    "post_start": Lost("do it in the entrypoint"),
    "pre_stop": Lost("do it on the signal"),
    "privileged": Lost("write the capabilities that it needs (cap_add)"),
    "profiles": Needless("what is started is chosen before"),
    "provider": _LEAVE_OUT,
    "pull_policy": Needless("each node pulls what it hasn't"),
    "pull_refresh_after": Needless("each node pulls what it hasn't"),
    "read_only": Kept("ContainerSpec.ReadOnly"),
    "restart": Kept("RestartPolicy"),
    "runtime": _NO_NODE,
    "scale": Kept("Mode.Replicated.Replicas"),
    "secrets": Kept("ContainerSpec.Secrets"),
    "security_opt": Kept("ContainerSpec.Privileges"),
    "shm_size": Kept("ContainerSpec.Mounts: a tmpfs at /dev/shm"),
    "stdin_open": Kept("ContainerSpec.OpenStdin"),
    "stop_grace_period": Kept("ContainerSpec.StopGracePeriod"),
    "stop_signal": Kept("ContainerSpec.StopSignal"),
    "storage_opt": _LEAVE_OUT,
    "sysctls": Kept("ContainerSpec.Sysctls"),
    "tmpfs": Kept("ContainerSpec.Mounts: a tmpfs, or a volume in memory for its uid"),
    "tty": Kept("ContainerSpec.TTY"),
    "ulimits": Kept("ContainerSpec.Ulimits"),
    "use_api_socket": _NO_NODE,
    "user": Kept("ContainerSpec.User"),
    "userns_mode": _NO_NODE,
    "uts": _NO_NODE,
    "volumes": Kept("ContainerSpec.Mounts"),
    "volumes_from": Lost("write the volumes out"),
    "working_dir": Kept("ContainerSpec.Dir"),
}
"""The keys of a service."""

DEPLOY: Final[Mapping[str, How]] = {
    "endpoint_mode": Kept("EndpointSpec.Mode"),
    "labels": Kept("Labels"),
    "mode": Kept("Mode"),
    "placement": Kept("Placement"),
    "replicas": Kept("Mode.Replicated.Replicas"),
    "resources": Kept("Resources"),
    "restart_policy": Kept("RestartPolicy"),
    "rollback_config": Kept("RollbackConfig"),
    "update_config": Kept("UpdateConfig"),
}
"""The keys of a service's `deploy`."""

NETWORK: Final[Mapping[str, How]] = {
    "attachable": Kept("Attachable"),
    "driver": Kept("Driver: a bridge becomes an overlay"),
    "driver_opts": Kept("Options, but for a bridge's"),
    "enable_ipv4": _LEAVE_OUT,
    "enable_ipv6": Kept("EnableIPv6"),
    "external": Needless("it is there"),
    "internal": Kept("Internal"),
    "ipam": Kept("IPAM"),
    "labels": Kept("Labels"),
    "name": Kept("Name"),
}
"""The keys of a network."""

ATTACHED: Final[Mapping[str, How]] = {
    "aliases": Kept("Aliases"),
    "driver_opts": Kept("DriverOpts"),
    "gw_priority": _LEAVE_OUT,
    "interface_name": _LEAVE_OUT,
    "ipv4_address": Lost("leave it out: a service's name leads to its containers"),
    "ipv6_address": Lost("leave it out: a service's name leads to its containers"),
    "link_local_ips": _LEAVE_OUT,
    "mac_address": _LEAVE_OUT,
    "priority": _LEAVE_OUT,
}
"""The keys of a service's `networks.NAME`."""

# What is there in a merged model without a meaning of its own.
_SAYS_NOTHING: Final[tuple[Any, ...]] = (None, False, "", 0, [], {})


def lost(
    known: Mapping[str, How], node: Mapping[str, Any] | None, service: str, path: str = ""
) -> Iterator[Finding]:
    """Yield what of a part of the model can't be kept; `path` is where the part is."""
    for key, value in (node or {}).items():
        how = known.get(key)
        if key.startswith("x-") or value in _SAYS_NOTHING:
            continue
        if how is None:
            yield finding(service, path + key, "Gangway knows no way to keep it in a Swarm")
        elif isinstance(how, Lost):
            yield finding(service, path + key, "Swarm has nothing for it", how.fix)


def finding(service: str, key: str, why: str, fix: str | None = None) -> Finding:
    """Return what is wrong with a key of a service."""
    return Finding(f"{key} can't be kept: {why}", service, fix)
