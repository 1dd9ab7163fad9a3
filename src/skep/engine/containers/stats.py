"""What a container uses, in docker's shape."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from msgspec import UNSET
from msgspec.structs import replace

from skep.engine.containers.container import Container
from skep.kit.clock import NS_PER_S, utc_now
from skep.kit.errors import NotFound
from skep.model.container import (
    BlkioEntry,
    BlkioStats,
    ContainerStats,
    CpuStats,
    CpuUsage,
    MemoryStats,
    NetworkStats,
    PidsStats,
    ThrottlingData,
)
from skep.runtime import cgroups
from skep.runtime.door import Runtime

PERIOD_S = 1.0
_NET_FIELDS = ("bytes", "packets", "errors", "dropped")


async def readings(
    runtime: Runtime, container: Container, *, stream: bool, one_shot: bool
) -> AsyncIterator[ContainerStats]:
    """A reading every second while the container is there, with the one before; or one alone."""
    if not container.running and not stream:
        yield ContainerStats(name=f"/{container.name}", id=container.id)
        return
    last = None if one_shot and not stream else await _read(runtime, container)
    if last is None or stream:
        yield last or await _read(runtime, container)
    while stream or not one_shot:
        await asyncio.sleep(PERIOD_S)
        if container.removing:
            return
        now = await _read(runtime, container)
        if last is not None:
            now = replace(now, preread=last.read, precpu_stats=last.cpu_stats)
        yield now
        last = now
        if not stream:
            return


async def _read(runtime: Runtime, container: Container) -> ContainerStats:
    """Zeros when it does not run."""
    empty = ContainerStats(name=f"/{container.name}", id=container.id, read=utc_now())
    if not container.running:
        return empty
    try:
        used = await runtime.stats(container.id)
    except NotFound:
        return empty
    shares_host = container.record.host_config.network_mode == "host"
    return docker_stats(
        empty,
        used,
        now=utc_now(),
        system_ns=system_cpu_ns(Path("/proc/stat").read_text()),
        networks=None if shares_host else _networks(container.pid),
    )


def docker_stats(
    of: ContainerStats,
    used: cgroups.Stats,
    *,
    now: datetime,
    system_ns: int,
    networks: dict[str, NetworkStats] | None,
) -> ContainerStats:
    """A cgroup's reading in docker's words. Pure but for the machine's size."""
    cpu, memory = used.cpu, used.memory
    return replace(
        of,
        read=now,
        pids_stats=PidsStats(current=used.pids, limit=used.pids_limit or 0),
        blkio_stats=BlkioStats(
            io_service_bytes_recursive=_entries(used.io_bytes),
            io_serviced_recursive=_entries(used.io_operations),
        ),
        cpu_stats=CpuStats(
            cpu_usage=CpuUsage(
                total_usage=cpu.total_ns,
                percpu_usage=list(cpu.per_cpu_ns) or UNSET,
                usage_in_kernelmode=cpu.system_ns,
                usage_in_usermode=cpu.user_ns,
            ),
            system_cpu_usage=system_ns,
            online_cpus=os.cpu_count() or 1,
            throttling_data=ThrottlingData(
                periods=cpu.periods,
                throttled_periods=cpu.throttled_periods,
                throttled_time=cpu.throttled_ns,
            ),
        ),
        memory_stats=MemoryStats(
            usage=memory.usage_bytes,
            max_usage=memory.max_usage_bytes,
            stats=memory.detail,
            failcnt=memory.failures,
            limit=min(memory.limit_bytes or machine_memory_bytes(), machine_memory_bytes()),
        ),
        networks=UNSET if networks is None else networks,
    )


def _entries(rows: tuple[cgroups.BlockIo, ...]) -> list[BlkioEntry]:
    return [BlkioEntry(major=r.major, minor=r.minor, op=r.op, value=r.value) for r in rows]


def system_cpu_ns(proc_stat: str) -> int:
    """What all processors together did, in nanoseconds: the first seven numbers of /proc/stat."""
    numbers = proc_stat.split("\n", 1)[0].split()[1:8]
    return sum(map(int, numbers)) * NS_PER_S // os.sysconf("SC_CLK_TCK")


@lru_cache(maxsize=1)
def machine_memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _networks(pid: int) -> dict[str, NetworkStats]:
    try:
        return interface_stats(Path(f"/proc/{pid}/net/dev").read_text(errors="replace"))
    except OSError:
        return {}


def interface_stats(net_dev: str) -> dict[str, NetworkStats]:
    """/proc/net/dev without the loopback. Pure."""
    found = {}
    for line in net_dev.splitlines()[2:]:
        name, _, rest = line.partition(":")
        numbers = list(map(int, rest.split()))
        if name.strip() != "lo":
            received = dict(zip((f"rx_{f}" for f in _NET_FIELDS), numbers[:4], strict=True))
            sent = dict(zip((f"tx_{f}" for f in _NET_FIELDS), numbers[8:12], strict=True))
            found[name.strip()] = NetworkStats(**received, **sent)
    return found
