"""A container's record as the process that the runtime is asked for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from skep.engine.containers.config import process_env
from skep.engine.containers.devices import parse_rule
from skep.engine.containers.record import MountRecord, Record
from skep.engine.containers.security import Security, parse_security
from skep.engine.containers.users import Identity
from skep.model.container import HostConfig, Resources
from skep.model.service import Ulimit
from skep.runtime import apparmor, capabilities, seccomp
from skep.runtime.bundle import (
    READONLY_PATHS,
    Bundle,
    Device,
    DeviceRule,
    Limits,
    Mount,
    Rlimit,
)


class HostFacts(msgspec.Struct, frozen=True):
    """What the bundle depends on of the host; read once."""

    capabilities: frozenset[str]
    apparmor: apparmor.Support
    init_path: str
    default_shm_bytes: int
    masked_paths: tuple[str, ...]
    open_files: tuple[int, int]
    """Soft and hard limit of containers that ask for none."""


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What was prepared on the host for one start of a container.

    mounts    (mount, the host's folder for it), in order; a tmpfs has no folder.
    files     path in the container -> file of the host (/etc/hosts and its like).
    """

    rootfs: Path
    identity: Identity
    hostname: str
    mounts: Sequence[tuple[MountRecord, str]] = ()
    files: Sequence[tuple[str, str]] = ()
    devices: Sequence[Device] = ()
    device_rules: Sequence[DeviceRule] = ()
    netns: str | None = None
    pid_namespace_of: str | None = None


def bundle_of(record: Record, ground: Ground, facts: HostFacts) -> Bundle:
    """Raises InvalidArgument for words that only make sense, or not, with the whole in view."""
    config, host = record.config, record.host_config
    security = parse_security(host.security_opt)
    granted = capability_set(host, facts)
    return Bundle(
        id=record.id,
        rootfs=str(ground.rootfs),
        argv=record.argv,
        env=process_env(config, ground.hostname, ground.identity.home),
        cwd=config.working_dir or "/",
        user=ground.identity.user,
        terminal=config.tty,
        console_size=console_size(host.console_size),
        readonly_rootfs=host.readonly_rootfs,
        hostname=ground.hostname,
        domainname=config.domainname or None,
        netns=ground.netns,
        host_pid=host.pid_mode == "host",
        host_ipc=host.ipc_mode == "host",
        host_uts=host.uts_mode == "host",
        pid_namespace_of=ground.pid_namespace_of,
        cgroup_namespace=host.cgroupns_mode != "host",
        mounts=(
            *(_mount(mount, folder) for mount, folder in ground.mounts),
            *(_file(path, source, host.readonly_rootfs) for path, source in ground.files),
        ),
        shm_bytes=host.shm_size or facts.default_shm_bytes,
        rootfs_propagation=_rootfs_propagation(record.mounts),
        privileged=host.privileged,
        capabilities=granted,
        seccomp=_seccomp(host, security, granted),
        no_new_privileges=security.no_new_privileges,
        apparmor_profile=apparmor_profile(host, facts),
        masked_paths=_paths(host.masked_paths, facts.masked_paths, security),
        readonly_paths=_paths(host.readonly_paths, READONLY_PATHS, security),
        devices=tuple(ground.devices),
        device_rules=(*ground.device_rules, *map(parse_rule, host.device_cgroup_rules)),
        resources=limits_of(host),
        sysctls=host.sysctls,
        rlimits=_rlimits(host.ulimits, facts),
        oom_score_adj=host.oom_score_adj,
        init=facts.init_path if host.init else None,
        annotations=host.annotations,
    )


def _rlimits(asked: Sequence[Ulimit], facts: HostFacts) -> tuple[Rlimit, ...]:
    soft, hard = facts.open_files
    limits = {"nofile": Rlimit(name="nofile", soft=soft, hard=hard)}
    for limit in asked:
        limits[limit.name] = Rlimit(name=limit.name, soft=limit.soft, hard=limit.hard)
    return tuple(limits.values())


def console_size(size: Sequence[int] | None) -> tuple[int, int] | None:
    """Rows and columns; docker's zeroes are "not known"."""
    is_known = size and len(size) == 2 and all(0 < length < 1 << 16 for length in size)
    return (size[0], size[1]) if size and is_known else None


def capability_set(host: HostConfig, facts: HostFacts) -> frozenset[str]:
    return capabilities.resolve(
        host.cap_add, host.cap_drop, privileged=host.privileged, host=facts.capabilities
    )


def apparmor_profile(host: HostConfig, facts: HostFacts) -> str | None:
    asked = parse_security(host.security_opt).apparmor
    return apparmor.profile_for(asked, privileged=host.privileged, support=facts.apparmor)


def limits_of(wish: Resources) -> Limits:
    """Docker's zeroes are "no limit", which the runtime knows as None."""
    pids = wish.pids_limit or 0
    swappiness = -1 if wish.memory_swappiness is None else wish.memory_swappiness
    return Limits(
        nano_cpus=wish.nano_cpus or None,
        cpu_quota_us=wish.cpu_quota or None,
        cpu_period_us=wish.cpu_period or None,
        cpu_shares=wish.cpu_shares or None,
        cpuset_cpus=wish.cpuset_cpus or None,
        cpuset_mems=wish.cpuset_mems or None,
        memory_bytes=wish.memory or None,
        memory_reservation_bytes=wish.memory_reservation or None,
        memory_swap_bytes=wish.memory_swap or None,
        memory_swappiness=None if swappiness < 0 else swappiness,
        oom_kill_disable=bool(wish.oom_kill_disable),
        pids_limit=pids if pids > 0 else None,
        blkio_weight=wish.blkio_weight or None,
    )


def _mount(mount: MountRecord, folder: str) -> Mount:
    access = "ro" if mount.read_only else "rw"
    if mount.type == "tmpfs":
        options = mount.options if mount.read_only is False else (*mount.options, "ro")
        return Mount(destination=mount.destination, source="tmpfs", type="tmpfs", options=options)
    bind = "rbind" if mount.recursive else "bind"
    return Mount(
        destination=mount.destination,
        source=folder,
        options=(bind, access, mount.propagation or "rprivate"),
    )


def _file(path: str, source: str, read_only: bool) -> Mount:
    """Read-only with the root, as docker's."""
    access = "ro" if read_only else "rw"
    return Mount(destination=path, source=source, options=("rbind", access, "rprivate"))


def _rootfs_propagation(mounts: Sequence[MountRecord]) -> str:
    """Shared and slave binds need a root that lets events through."""
    wanted = {mount.propagation.removeprefix("r") for mount in mounts}
    if "shared" in wanted:
        return "shared"
    return "rslave" if "slave" in wanted else ""


def _seccomp(
    host: HostConfig, security: Security, granted: frozenset[str]
) -> dict[str, Any] | msgspec.Raw | None:
    if host.privileged or security.seccomp == "unconfined":
        return None
    if security.seccomp == "default":
        return seccomp.default_profile(granted)
    return seccomp.user_profile(security.seccomp.encode(), granted)


def _paths(
    asked: list[str] | None, default: tuple[str, ...], security: Security
) -> tuple[str, ...]:
    if security.unmasked:
        return ()
    return default if asked is None else tuple(asked)
