"""New limits for a container that exists: what is nothing stays as it is. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from skep.engine.containers.checks import check_resources, refuse_unfulfilled
from skep.kit.errors import InvalidArgument, Unimplemented
from skep.model.container import ContainerUpdate, HostConfig

_CHANGEABLE = (
    "blkio_weight", "cpu_period", "cpu_quota", "cpu_shares", "cpuset_cpus", "cpuset_mems",
    "memory", "memory_reservation", "memory_swap", "nano_cpus", "pids_limit",
)  # fmt: skip
_AT_BIRTH = ("devices", "device_cgroup_rules", "ulimits")


def updated_host_config(host: HostConfig, wish: ContainerUpdate) -> HostConfig:
    """Raises InvalidArgument for contradictions, Unimplemented for what cannot be changed."""
    refuse_unfulfilled(wish)
    for name in _AT_BIRTH:
        if getattr(wish, name):
            raise Unimplemented(f"{name} cannot be changed: make a new container")
    changes = {name: value for name in _CHANGEABLE if (value := getattr(wish, name))}
    if wish.memory and not wish.memory_swap and 0 < host.memory_swap < wish.memory:
        raise InvalidArgument(
            "Memory limit should be smaller than already set memoryswap limit,"
            " update the memoryswap at the same time"
        )
    if wish.nano_cpus:
        changes |= {"cpu_period": 0, "cpu_quota": 0}
    policy = wish.restart_policy
    if policy.name and host.auto_remove and policy.name != "no":
        raise InvalidArgument("Restart policy cannot be updated because AutoRemove is enabled")
    if policy.maximum_retry_count and policy.name != "on-failure":
        raise InvalidArgument(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        )
    updated = replace(
        host, **changes, restart_policy=policy if policy.name else host.restart_policy
    )
    check_resources(updated)
    return updated
