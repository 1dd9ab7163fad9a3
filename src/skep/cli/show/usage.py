"""One container's resource use, from a sample of GET /containers/{id}/stats. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

Sample = dict[str, Any]


class Use(NamedTuple):
    """Percent of CPUs and memory; bytes otherwise."""

    cpu_percent: float
    memory: float
    memory_limit: float
    net_in: float
    net_out: float
    block_in: float
    block_out: float
    pids: int

    @property
    def memory_percent(self) -> float:
        return self.memory / self.memory_limit * 100 if self.memory_limit else 0.0


def use_of(sample: Sample) -> Use:
    memory = sample.get("memory_stats") or {}
    networks = (sample.get("networks") or {}).values()
    block_in, block_out = _block_io(sample.get("blkio_stats") or {})
    return Use(
        cpu_percent(sample.get("cpu_stats") or {}, sample.get("precpu_stats") or {}),
        memory_in_use(memory),
        float(memory.get("limit", 0)),
        float(sum(each.get("rx_bytes", 0) for each in networks)),
        float(sum(each.get("tx_bytes", 0) for each in networks)),
        block_in,
        block_out,
        int((sample.get("pids_stats") or {}).get("current", 0)),
    )


def cpu_percent(now: Sample, before: Sample) -> float:
    """The container's share of the machine's time between two samples, 100 for each CPU."""
    used = _cpu_total(now) - _cpu_total(before)
    passed = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    if used <= 0 or passed <= 0:
        return 0.0
    cpus = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or [0])
    return float(used / passed * cpus * 100)


def _cpu_total(cpu: Sample) -> int:
    return int((cpu.get("cpu_usage") or {}).get("total_usage", 0))


def memory_in_use(memory: Sample) -> float:
    """What is used without the page cache that could be given back (cgroup v1 or v2)."""
    usage = float(memory.get("usage", 0))
    stats = memory.get("stats") or {}
    for key in ("total_inactive_file", "inactive_file"):
        if key in stats:
            return usage - stats[key] if stats[key] < usage else usage
    return usage


def _block_io(block: Sample) -> tuple[float, float]:
    entries = block.get("io_service_bytes_recursive") or []
    read = sum(each["value"] for each in entries if each["op"][:1].lower() == "r")
    written = sum(each["value"] for each in entries if each["op"][:1].lower() == "w")
    return float(read), float(written)
