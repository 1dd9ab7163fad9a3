"""Which wishes this engine refuses, by name: what docker has and we do not do is never dropped.

`REFUSED` is the whole list of fields that must be left at "nothing asked"; the functions below it
check fields of which some values are fulfilled. Pure: no look at the host.
"""

from __future__ import annotations

from typing import Any

from skep.engine.containers.devices import parse_rule
from skep.engine.containers.security import parse_security
from skep.engine.containers.wish import Wish
from skep.kit.errors import InvalidArgument, Unimplemented
from skep.model.container import ContainerConfig, HostConfig, Resources
from skep.model.rules.logs import check_log_driver
from skep.model.rules.process import (
    capability,
    check_health,
    check_host_entry,
    check_variable,
    check_working_dir,
)
from skep.model.rules.resources import check_memory, check_processors
from skep.model.rules.signals import parse_signal

_USE_NETWORK = "put both containers on a user-defined network: they find each other by name there"
_PLACES_ONLY = "skep places every container in its own cgroup"

REFUSED: dict[str, str] = {
    "BlkioWeightDevice": "give one weight for all devices (BlkioWeight)",
    "BlkioDeviceReadBps": "",
    "BlkioDeviceWriteBps": "",
    "BlkioDeviceReadIOps": "",
    "BlkioDeviceWriteIOps": "",
    "Cgroup": _PLACES_ONLY,
    "CgroupParent": _PLACES_ONLY,
    "CpuCount": "it is for Windows: use NanoCpus",
    "CpuPercent": "it is for Windows: use NanoCpus",
    "CpuRealtimePeriod": "",
    "CpuRealtimeRuntime": "",
    "DeviceRequests": "name the devices themselves (Devices)",
    "IOMaximumBandwidth": "it is for Windows",
    "IOMaximumIOps": "it is for Windows",
    "KernelMemory": "the kernel has no such limit any more: use Memory",
    "KernelMemoryTCP": "use Memory",
    "Links": _USE_NETWORK,
    "StorageOpt": "the overlay file system has no size limit",
    "VolumesFrom": "name the volumes themselves (Binds or Mounts)",
}
"""Field of HostConfig -> what to do instead."""

_FIELD_OF = dict(
    zip(HostConfig.__struct_encode_fields__, HostConfig.__struct_fields__, strict=True)
)


def check_wish(wish: Wish) -> None:
    """All that can be said against a container without a look at its image and the host."""
    check_config(wish.config)
    check_host_config(wish.host)
    for entry in wish.hosts:
        check_host_entry(entry.name, entry.address)


def check_host_config(host: HostConfig) -> None:
    """Raises Unimplemented (501) for what we do not do, InvalidArgument (400) for nonsense."""
    refuse_unfulfilled(host)
    for field, value, fulfilled in _choices(host):
        if value not in fulfilled:
            raise Unimplemented(
                f"{field} {value!r} is not supported by this engine:"
                f" use {' or '.join(repr(word) for word in fulfilled if word)}"
            )
    if host.runtime not in _RUNTIMES:
        raise InvalidArgument(f"unknown or invalid runtime name: {host.runtime}")
    check_resources(host)
    _check_modes(host)
    _check_restart_policy(host)
    check_log_driver(host.log_config.type, host.log_config.config)
    parse_security(host.security_opt)
    for capability_name in (*host.cap_add, *host.cap_drop):
        capability(capability_name)
    for rule in host.device_cgroup_rules:
        parse_rule(rule)


def refuse_unfulfilled(resources: Resources) -> None:
    """Raise for the first field of `REFUSED` that is not at nothing."""
    for name, remedy in REFUSED.items():
        if _asked(getattr(resources, _FIELD_OF[name], None)):
            raise Unimplemented(
                f"{name} is not supported by this engine" + (f": {remedy}" if remedy else "")
            )


def _asked(value: Any) -> bool:
    return bool(value) and value != -1


_RUNTIMES = ("", "runc", "io.containerd.runc.v2")


def _choices(host: HostConfig) -> list[tuple[str, str, tuple[str, ...]]]:
    """Fields of which some values are fulfilled: name, value, those."""
    return [
        ("CgroupnsMode", host.cgroupns_mode, ("", "private", "host")),
        ("Isolation", host.isolation, ("", "default")),
        ("IpcMode", host.ipc_mode, ("", "private", "host", "shareable")),
        ("UsernsMode", host.userns_mode, ("", "host")),
        ("UTSMode", host.uts_mode, ("", "host")),
        ("VolumeDriver", host.volume_driver, ("", "local")),
    ]


def check_resources(wish: Resources) -> None:
    """Limits that contradict each other or mean nothing, in docker's words (source: moby
    daemon/daemon_unix.go, verifyPlatformContainerResources)."""
    _check_memory(wish)
    _check_processors(wish)
    if wish.blkio_weight and not 10 <= wish.blkio_weight <= 1000:
        raise InvalidArgument("Range of blkio weight is from 10 to 1000")


def _check_memory(wish: Resources) -> None:
    limit, swap, reservation = wish.memory, wish.memory_swap, wish.memory_reservation
    swappiness = wish.memory_swappiness
    check_memory(limit)
    if reservation < 0:
        raise InvalidArgument("MemoryReservation cannot be negative")
    if limit and 0 < swap < limit:
        raise InvalidArgument(
            "Minimum memoryswap limit should be larger than memory limit, see usage"
        )
    if not limit and swap > 0:
        raise InvalidArgument(
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        )
    if 0 < limit < reservation:
        raise InvalidArgument(
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        )
    if swappiness is not None and not -1 <= swappiness <= 100:
        raise InvalidArgument(
            f"Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        )


def _check_processors(wish: Resources) -> None:
    check_processors(wish.nano_cpus)
    if wish.nano_cpus and (wish.cpu_period or wish.cpu_quota > 0):
        raise InvalidArgument(
            "Conflicting options: Nano CPUs and CPU Period/Quota cannot both be set"
        )
    if wish.cpu_period and not 1_000 <= wish.cpu_period <= 1_000_000:
        raise InvalidArgument(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if 0 < wish.cpu_quota < 1_000:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if wish.cpu_shares < 0:
        raise InvalidArgument("CpuShares cannot be negative")


def _check_modes(host: HostConfig) -> None:
    if host.pid_mode not in {"", "host"} and not host.pid_mode.startswith("container:"):
        raise InvalidArgument(f"invalid PID mode: {host.pid_mode}")
    if host.auto_remove and host.restart_policy.name not in {"", "no"}:
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")
    if host.network_mode.startswith("container:") and (host.port_bindings or host.dns):
        what = "port publishing" if host.port_bindings else "dns"
        raise InvalidArgument(f"conflicting options: {what} and the container type network mode")


def _check_restart_policy(host: HostConfig) -> None:
    policy = host.restart_policy
    if policy.maximum_retry_count and policy.name != "on-failure":
        raise InvalidArgument(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        )


def check_config(config: ContainerConfig) -> None:
    """What runs: names, variables, time-outs."""
    for variable in config.env:
        check_variable(variable)
    if config.stop_timeout is not None and config.stop_timeout < -1:
        raise InvalidArgument(f"invalid stop timeout: {config.stop_timeout}")
    check_working_dir(config.working_dir)
    if config.stop_signal:
        parse_signal(config.stop_signal)
    if config.healthcheck is not None:
        check_health(config.healthcheck)
