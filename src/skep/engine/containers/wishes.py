"""Which wishes this engine refuses, by name: what docker has and we do not do is never dropped.

`REFUSED` is the whole list of fields that must be left at "nothing asked"; the functions below it
check fields of which some values are fulfilled. Pure: no look at the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skep.kit.errors import InvalidArgument, Unimplemented
from skep.model.container import ContainerConfig, HostConfig, Resources
from skep.model.service import HealthConfig

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

MIN_MEMORY_BYTES = 6 * 1024 * 1024


def check_host_config(host: HostConfig) -> None:
    """Raises Unimplemented (501) for what we do not do, InvalidArgument (400) for nonsense."""
    refuse_unfulfilled(host)
    for field, value, fulfilled in _choices(host):
        if value not in fulfilled:
            raise Unimplemented(
                f"{field} {value!r} is not supported by this engine:"
                f" use {' or '.join(repr(word) for word in fulfilled if word)}"
            )
    check_resources(host)
    _check_modes(host)
    _check_restart_policy(host)
    check_log_config(host)


def refuse_unfulfilled(resources: Resources) -> None:
    """Raise for the first field of `REFUSED` that is not at nothing."""
    for name, remedy in REFUSED.items():
        if _asked(getattr(resources, _FIELD_OF[name], None)):
            raise Unimplemented(
                f"{name} is not supported by this engine" + (f": {remedy}" if remedy else "")
            )


def _asked(value: Any) -> bool:
    return bool(value) and value != -1


def _choices(host: HostConfig) -> list[tuple[str, str, tuple[str, ...]]]:
    """Fields of which some values are fulfilled: name, value, those."""
    return [
        ("CgroupnsMode", host.cgroupns_mode, ("", "private", "host")),
        ("Isolation", host.isolation, ("", "default")),
        ("IpcMode", host.ipc_mode, ("", "private", "host", "shareable")),
        ("Runtime", host.runtime, ("", "runc", "io.containerd.runc.v2")),
        ("UsernsMode", host.userns_mode, ("", "host")),
        ("UTSMode", host.uts_mode, ("", "host")),
        ("VolumeDriver", host.volume_driver, ("", "local")),
    ]


def check_resources(wish: Resources) -> None:
    """Limits that contradict each other or mean nothing, in docker's words."""
    checks: list[tuple[Callable[[], bool], str]] = [
        (
            lambda: 0 < wish.memory < MIN_MEMORY_BYTES,
            "Minimum memory limit allowed is 6MB",
        ),
        (
            lambda: wish.memory < 0 or wish.nano_cpus < 0 or wish.memory_reservation < 0,
            "Memory, MemoryReservation and NanoCpus cannot be negative",
        ),
        (
            lambda: wish.memory > 0 and 0 < wish.memory_swap < wish.memory,
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            lambda: wish.memory == 0 and wish.memory_swap > 0,
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        (
            lambda: 0 < wish.memory < wish.memory_reservation,
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
        (
            lambda: (
                not -1 <= (-1 if wish.memory_swappiness is None else wish.memory_swappiness) <= 100
            ),
            f"Invalid value: {wish.memory_swappiness}, valid memory swappiness range is 0-100",
        ),
        (
            lambda: wish.nano_cpus > 0 and (wish.cpu_period != 0 or wish.cpu_quota > 0),
            "Conflicting options: Nano CPUs and CPU Period/Quota cannot both be set",
        ),
        (
            lambda: wish.cpu_period != 0 and not 1_000 <= wish.cpu_period <= 1_000_000,
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        (
            lambda: 0 < wish.cpu_quota < 1_000,
            "CPU cfs quota can not be less than 1ms (i.e. 1000)",
        ),
        (
            lambda: wish.blkio_weight != 0 and not 10 <= wish.blkio_weight <= 1000,
            "Range of blkio weight is from 10 to 1000",
        ),
        (lambda: wish.cpu_shares < 0, "CpuShares cannot be negative"),
    ]
    for is_wrong, message in checks:
        if is_wrong():
            raise InvalidArgument(message)


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


_LOG_DRIVERS = ("", "json-file", "local", "none")
_LOG_OPTIONS = frozenset({"max-size", "max-file", "mode"})


def check_log_config(host: HostConfig) -> None:
    """The kinds of log that we keep, and their options."""
    log = host.log_config
    if log.type not in _LOG_DRIVERS:
        raise Unimplemented(
            f"logging driver {log.type!r} is not supported by this engine:"
            " use 'json-file', 'local' or 'none'"
        )
    for option, value in log.config.items():
        if option not in _LOG_OPTIONS or (option == "mode" and value != "blocking"):
            raise InvalidArgument(
                f"unknown log opt '{option}' for {log.type or 'json-file'} log driver"
            )


def check_config(config: ContainerConfig) -> None:
    """What runs: names, variables, time-outs."""
    for variable in config.env:
        if not variable or variable.startswith("="):
            raise InvalidArgument(f"invalid environment variable: {variable}")
    if config.stop_timeout is not None and config.stop_timeout < -1:
        raise InvalidArgument(f"invalid stop timeout: {config.stop_timeout}")
    if config.working_dir and not config.working_dir.startswith("/"):
        raise InvalidArgument(
            f"the working directory '{config.working_dir}' is invalid,"
            " it needs to be an absolute path"
        )
    if config.healthcheck is not None:
        check_health(config.healthcheck)


_MIN_PROBE_NS = 1_000_000


def check_health(health: HealthConfig) -> None:
    """Raises InvalidArgument for a probe that means nothing, in docker's words."""
    for name in ("interval", "timeout", "start_period", "start_interval"):
        if 0 < getattr(health, name) < _MIN_PROBE_NS:
            words = name.replace("_p", " P").replace("_i", " I")
            raise InvalidArgument(
                f"{words[0].upper()}{words[1:]} in Healthcheck cannot be less than 1ms"
            )
    kind = health.test[0] if health.test else "CMD"
    if kind not in {"NONE", "CMD", "CMD-SHELL"}:
        raise InvalidArgument(f"Unknown healthcheck type '{kind}': use CMD, CMD-SHELL or NONE")
