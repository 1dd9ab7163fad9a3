"""A bundle's value as the OCI runtime's configuration (runtime-spec 1.0): pure, docker's defaults.

Source: https://github.com/opencontainers/runtime-spec/blob/v1.0.2/config-linux.md, and what
`docker run` of 2026 writes for the same container.
"""

from __future__ import annotations

from typing import Any

from skep.runtime.bundle import Bundle, Device, DeviceRule, Limits, Mount, Rlimit, User
from skep.runtime.door import ExecSpec

INIT_PATH = "/sbin/docker-init"
DEFAULT_CPU_PERIOD_US = 100_000

_CGROUPS = "/sys/fs/cgroup"
_LOCKED = ("nosuid", "noexec", "nodev")


def oci_config(bundle: Bundle, *, unified: bool) -> dict[str, Any]:
    """The content of config.json; `unified` tells a host with cgroup v2 alone."""
    config: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": _process(bundle),
        "root": {"path": bundle.rootfs, "readonly": bundle.readonly_rootfs},
        "mounts": [_mount(mount) for mount in all_mounts(bundle)],
        "linux": _linux(bundle, unified=unified),
    }
    if bundle.hostname is not None and not bundle.host_uts:
        config["hostname"] = bundle.hostname
    if bundle.annotations:
        config["annotations"] = bundle.annotations
    return config


def oci_exec_process(spec: ExecSpec, container: dict[str, Any]) -> dict[str, Any]:
    """The process object of an exec; what it does not say is `container`'s, its OCI process."""
    process = {
        "terminal": spec.terminal,
        "user": _user(spec.user),
        "args": list(spec.argv),
        "env": list(spec.env),
        "cwd": spec.cwd,
        "noNewPrivileges": spec.no_new_privileges or container.get("noNewPrivileges", False),
        "capabilities": container["capabilities"]
        if spec.capabilities is None
        else _capabilities(spec.capabilities),
    }
    for key in ("rlimits", "apparmorProfile", "selinuxLabel", "oomScoreAdj"):
        if key in container:
            process[key] = container[key]
    return process | _said(
        apparmorProfile=spec.apparmor_profile, consoleSize=_console_size(spec.console_size)
    )


def all_mounts(bundle: Bundle) -> list[Mount]:
    """Docker's default mounts, less those that the bundle replaces, then the bundle's own."""
    taken = {mount.destination for mount in bundle.mounts}
    kept = [
        mount
        for mount in _default_mounts(bundle)
        if mount.destination not in taken
        and not ("/dev" in taken and mount.destination.startswith("/dev/"))
    ]
    init = (
        [Mount(destination=INIT_PATH, source=bundle.init, options=("bind", "ro"))]
        if bundle.init
        else []
    )
    return [*kept, *bundle.mounts, *init]


def oci_resources(resources: Limits) -> dict[str, Any]:
    """Limits in the runtime-spec's form, only those that are said. runc translates them for v2."""
    parts = {
        "cpu": _cpu(resources),
        "memory": _memory(resources),
        "pids": _said(limit=resources.pids_limit),
        "blockIO": _said(weight=resources.blkio_weight),
    }
    return {name: part for name, part in parts.items() if part}


def _default_mounts(bundle: Bundle) -> list[Mount]:
    sealed = () if bundle.privileged else ("ro",)
    return [
        Mount(destination="/proc", source="proc", type="proc", options=_LOCKED),
        Mount(destination="/dev", source="tmpfs", type="tmpfs",
              options=("nosuid", "strictatime", "mode=755", "size=65536k")),
        Mount(destination="/dev/pts", source="devpts", type="devpts",
              options=("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")),
        Mount(destination="/sys", source="sysfs", type="sysfs", options=(*_LOCKED, *sealed)),
        Mount(destination=_CGROUPS, source="cgroup", type="cgroup",
              options=(*sealed, *_LOCKED)),
        *_ipc_mounts(bundle),
    ]  # fmt: skip


def _ipc_mounts(bundle: Bundle) -> list[Mount]:
    if bundle.host_ipc:
        return [Mount(destination=path, source=path, options=("rbind", "rprivate"))
                for path in ("/dev/mqueue", "/dev/shm")]  # fmt: skip
    return [
        Mount(destination="/dev/mqueue", source="mqueue", type="mqueue", options=_LOCKED),
        Mount(destination="/dev/shm", source="shm", type="tmpfs",
              options=(*_LOCKED, "mode=1777", f"size={bundle.shm_bytes}")),
    ]  # fmt: skip


def _process(bundle: Bundle) -> dict[str, Any]:
    init = [INIT_PATH, "--"] if bundle.init else []
    process: dict[str, Any] = {
        "terminal": bundle.terminal,
        "user": _user(bundle.user),
        "args": [*init, *bundle.argv],
        "env": list(bundle.env),
        "cwd": bundle.cwd,
        "capabilities": _capabilities(bundle.capabilities),
        "noNewPrivileges": bundle.no_new_privileges,
    }
    if bundle.rlimits:
        process["rlimits"] = [_rlimit(limit) for limit in bundle.rlimits]
    return process | _said(
        oomScoreAdj=bundle.oom_score_adj,
        apparmorProfile=bundle.apparmor_profile,
        selinuxLabel=bundle.selinux_label,
        consoleSize=_console_size(bundle.console_size),
    )


def _console_size(size: tuple[int, int] | None) -> dict[str, int] | None:
    return None if size is None else {"height": size[0], "width": size[1]}


def _linux(bundle: Bundle, *, unified: bool) -> dict[str, Any]:
    linux: dict[str, Any] = {
        "namespaces": _namespaces(bundle, unified=unified),
        "resources": {"devices": _device_rules(bundle), **oci_resources(bundle.resources)},
        "cgroupsPath": bundle.cgroup_path,
    }
    if not bundle.privileged:
        linux["maskedPaths"] = list(bundle.masked_paths)
        linux["readonlyPaths"] = _readonly_paths(bundle, unified=unified)
    if bundle.devices:
        linux["devices"] = [_device(device) for device in bundle.devices]
    if sysctls := _sysctls(bundle):
        linux["sysctl"] = sysctls
    if bundle.rootfs_propagation:
        linux["rootfsPropagation"] = bundle.rootfs_propagation
    return linux | _said(seccomp=bundle.seccomp, mountLabel=bundle.selinux_label)


def _readonly_paths(bundle: Bundle, *, unified: bool) -> list[str]:
    """With cgroup v1 runc mounts a tmpfs around the hierarchies, and forgets that it is to be
    read-only as they are."""
    own = all(mount.destination != _CGROUPS for mount in bundle.mounts)
    return [*bundle.readonly_paths, *([_CGROUPS] if own and not unified else [])]


def _namespaces(bundle: Bundle, *, unified: bool) -> list[dict[str, str]]:
    namespaces = [{"type": "mount"}]
    if bundle.netns is not None:
        namespaces.append({"type": "network", "path": bundle.netns})
    for kind, shared, path in (
        ("pid", bundle.host_pid, bundle.pid_namespace),
        ("ipc", bundle.host_ipc, bundle.ipc_namespace),
        ("uts", bundle.host_uts, None),
    ):
        if not shared:
            namespaces.append({"type": kind, **_said(path=path)})
    if unified if bundle.cgroup_namespace is None else bundle.cgroup_namespace:
        namespaces.append({"type": "cgroup"})
    return namespaces


def _sysctls(bundle: Bundle) -> dict[str, str]:
    """OCI 1.0 has no field for the domain name; docker writes it as a sysctl."""
    domain = (
        {"kernel.domainname": bundle.domainname}
        if bundle.domainname and not bundle.host_uts
        else {}
    )
    return {**domain, **bundle.sysctls}


def _device_rules(bundle: Bundle) -> list[dict[str, Any]]:
    """The runtime itself adds the nodes that every container has (null, zero, tty, pts, …)."""
    first = DeviceRule(allow=bundle.privileged)
    return [_device_rule(rule) for rule in (first, *bundle.device_rules)]


def _device_rule(rule: DeviceRule) -> dict[str, Any]:
    numbers = _said(major=rule.major, minor=rule.minor)
    kind = {} if rule.kind == "a" else {"type": rule.kind}
    return {"allow": rule.allow, **kind, **numbers, "access": rule.access}


def _device(device: Device) -> dict[str, Any]:
    return {
        "path": device.path,
        "type": device.kind,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.file_mode,
        "uid": device.uid,
        "gid": device.gid,
    }


def _mount(mount: Mount) -> dict[str, Any]:
    return {
        "destination": mount.destination,
        "source": mount.source,
        "type": mount.type,
        "options": list(mount.options),
    }


def _user(user: User) -> dict[str, Any]:
    more = {"additionalGids": list(user.additional_gids)} if user.additional_gids else {}
    return {"uid": user.uid, "gid": user.gid, **more}


def _capabilities(names: frozenset[str]) -> dict[str, list[str]]:
    """None inheritable: a program that gained file capabilities must not pass them on."""
    ordered = sorted(names)
    return {"bounding": ordered, "effective": ordered, "permitted": ordered}


def _rlimit(limit: Rlimit) -> dict[str, Any]:
    """-1 is RLIM_INFINITY, written as the unsigned number that the runtime expects."""
    return {
        "type": f"RLIMIT_{limit.name.upper()}",
        "soft": limit.soft % 2**64,
        "hard": limit.hard % 2**64,
    }


def _cpu(resources: Limits) -> dict[str, Any]:
    quota, period = resources.cpu_quota_us, resources.cpu_period_us
    if resources.nano_cpus:
        period = _period_us(resources.nano_cpus)
        quota = resources.nano_cpus * period // 1_000_000_000
    return _said(
        quota=quota,
        period=period,
        shares=resources.cpu_shares,
        cpus=resources.cpuset_cpus,
        mems=resources.cpuset_mems,
    )


def _period_us(nano_cpus: int) -> int:
    """Longer for less than a hundredth of a processor: the kernel grants no less than 1 ms of it
    and knows no period beyond 1 s."""
    shortest = -(-1_000 * 1_000_000_000 // nano_cpus)
    return min(max(DEFAULT_CPU_PERIOD_US, shortest), 1_000_000)


def _memory(resources: Limits) -> dict[str, Any]:
    return _said(
        limit=resources.memory_bytes,
        reservation=resources.memory_reservation_bytes,
        swap=_swap(resources),
        swappiness=resources.memory_swappiness,
        disableOOMKiller=resources.oom_kill_disable or None,
    )


def _swap(resources: Limits) -> int | None:
    """Memory and swap together; docker gives as much swap as memory when only that is said."""
    if resources.memory_swap_bytes is not None or not resources.memory_bytes:
        return resources.memory_swap_bytes
    return resources.memory_bytes * 2


def _said(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
