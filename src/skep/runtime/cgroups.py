"""A container's cgroups: what they used, who is in them, whether the kernel killed for memory.

Three kinds of host: every controller in a v1 hierarchy of its own (v1), the same with an empty v2
tree beside it (hybrid), and one v2 tree (unified). Sources: kernel Documentation/admin-guide/
cgroup-v1/ and cgroup-v2.rst.
"""

from __future__ import annotations

import msgspec

from skep.runtime.bundle import Value


class CpuStats(Value, frozen=True):
    """Nanoseconds since the container's start; throttling in periods and nanoseconds."""

    total_ns: int = 0
    user_ns: int = 0
    system_ns: int = 0
    per_cpu_ns: tuple[int, ...] = ()
    periods: int = 0
    throttled_periods: int = 0
    throttled_ns: int = 0


class MemoryStats(Value, frozen=True):
    """Bytes. `limit_bytes` None is no limit; `detail` is the kernel's memory.stat."""

    usage_bytes: int = 0
    max_usage_bytes: int = 0
    limit_bytes: int | None = None
    failures: int = 0
    detail: dict[str, int] = msgspec.field(default_factory=dict)

    @property
    def working_set_bytes(self) -> int:
        """What docker shows as used: usage without the file cache that is not in use."""
        idle = self.detail.get("total_inactive_file", self.detail.get("inactive_file", 0))
        return max(self.usage_bytes - idle, 0)


class BlockIo(Value, frozen=True):
    """One device and one operation ("read" or "write"), in bytes or in operations."""

    major: int
    minor: int
    op: str
    value: int


class Stats(Value, frozen=True):
    """One reading. Network counters belong to the sandbox, not here."""

    cpu: CpuStats = CpuStats()
    memory: MemoryStats = MemoryStats()
    pids: int = 0
    pids_limit: int | None = None
    io_bytes: tuple[BlockIo, ...] = ()
    io_operations: tuple[BlockIo, ...] = ()
