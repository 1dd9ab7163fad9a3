"""One container process, described as a value: all that the runtime needs, nothing it decides.

The engine makes a `Bundle` from a docker container configuration; `oci.oci_config` turns it into
the OCI runtime's configuration. Paths named `source`, `rootfs`, `netns` are the host's, the others
are the container's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from skep.runtime.capabilities import DEFAULT as DEFAULT_CAPABILITIES

MASKED_PATHS = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
    "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
    "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
)  # fmt: skip
"""What a container may not read of the host (Docker's list of 2026), on every host."""
_MASKED_PER_CPU = "devices/system/cpu/cpu*/thermal_throttle"

READONLY_PATHS = (
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
)  # fmt: skip
"""What a container may read of the host and not change (Docker's list)."""


def masked_paths(sys: Path = Path("/sys")) -> tuple[str, ...]:
    """`MASKED_PATHS` and what this host has of each processor: how often it was too hot tells what
    others run on it. One that is switched off has none, and when it comes, it is not masked."""
    return (
        *MASKED_PATHS,
        *sorted(f"/sys/{path.relative_to(sys)}" for path in sys.glob(_MASKED_PER_CPU)),
    )


class Value(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A comparable value of this room; never mutated."""


class User(Value, frozen=True):
    """Numeric identity of a process; names were looked up in the image by the engine."""

    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = ()


class Mount(Value, frozen=True):
    """One mount, in the order in which they are made; `type` "bind" takes `source` of the host."""

    destination: str
    source: str
    type: str = "bind"
    options: tuple[str, ...] = ("rbind", "rprivate")


class Device(Value, frozen=True):
    """A device node to make in the container; access to it is a `DeviceRule`."""

    path: str
    kind: Literal["c", "b", "p"]
    major: int
    minor: int
    file_mode: int = 0o666
    uid: int = 0
    gid: int = 0


class DeviceRule(Value, frozen=True):
    """Allow or deny access to devices; None for a number is every number, kind "a" every device."""

    allow: bool
    kind: Literal["a", "c", "b"] = "a"
    major: int | None = None
    minor: int | None = None
    access: str = "rwm"


class Rlimit(Value, frozen=True):
    """A limit of setrlimit(2): `name` in docker's form ("nofile"); -1 is unlimited."""

    name: str
    soft: int
    hard: int


class Limits(Value, frozen=True):
    """Limits of the container's cgroup; None is no limit (on update: as it was).

    `nano_cpus` excludes `cpu_quota_us` and `cpu_period_us`. `memory_swap_bytes` is docker's sum of
    memory and swap; -1 is unlimited swap, None is twice the memory as docker does.
    `cpu_shares` are v1 shares (2..262144, 1024 is neutral); `blkio_weight` 10..1000.
    """

    nano_cpus: int | None = None
    cpu_quota_us: int | None = None
    cpu_period_us: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    memory_bytes: int | None = None
    memory_reservation_bytes: int | None = None
    memory_swap_bytes: int | None = None
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    pids_limit: int | None = None
    blkio_weight: int | None = None


class Bundle(Value, frozen=True):
    """One container process. Defaults are docker's for a container without options."""

    id: str
    rootfs: str
    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: User = User()
    terminal: bool = False
    console_size: tuple[int, int] | None = None
    """Rows and columns of the terminal at birth."""
    readonly_rootfs: bool = False
    hostname: str | None = None
    domainname: str | None = None

    netns: str | None = None
    """Path of a network namespace to enter; None shares the host's."""
    host_pid: bool = False
    host_ipc: bool = False
    host_uts: bool = False
    pid_namespace: str | None = None
    """Path of a pid namespace to join; excludes `host_pid`."""
    pid_namespace_of: str | None = None
    """A running container whose pid namespace to join (`--pid container:x`), by its id."""
    ipc_namespace: str | None = None
    cgroup_namespace: bool | None = None
    """A private view of cgroups; None is docker's default: where the host has cgroup v2."""

    mounts: tuple[Mount, ...] = ()
    """Made after the default ones; one at a default's destination replaces it."""
    shm_bytes: int = 64 * 1024 * 1024
    rootfs_propagation: str = ""

    privileged: bool = False
    """Drops masks, read-only paths and the device filter; capabilities and seccomp stand below."""
    capabilities: frozenset[str] = DEFAULT_CAPABILITIES
    """The final set, with the `CAP_` prefix."""
    seccomp: dict[str, Any] | msgspec.Raw | None = None
    """An OCI seccomp object from `seccomp.default_profile` or `user_profile`; None: no filter."""
    no_new_privileges: bool = False
    apparmor_profile: str | None = None
    selinux_label: str | None = None
    masked_paths: tuple[str, ...] = MASKED_PATHS
    readonly_paths: tuple[str, ...] = READONLY_PATHS

    devices: tuple[Device, ...] = ()
    device_rules: tuple[DeviceRule, ...] = ()
    """Added to the default rules, in order; the last that matches wins."""
    resources: Limits = Limits()
    cgroup_path: str | None = None
    """Below the root of each hierarchy, e.g. "/skep-1a2b/<id>"; None lets the Runtime choose."""
    sysctls: dict[str, str] = msgspec.field(default_factory=dict)
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int | None = None
    init: str | None = None
    """Path on the host of a static init (tini); it becomes pid 1 at /sbin/docker-init."""
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
