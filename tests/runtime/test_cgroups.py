"""Control groups read as the kernel documents them, on v2 from files laid out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from skep.kit.errors import NotFound
from skep.runtime.cgroups import (
    BlockIo,
    Cgroup,
    CpuStats,
    Hierarchies,
    MemoryStats,
    Stats,
    parse_mountinfo,
)

UNIFIED_FILES = {
    "cpu.stat": "usage_usec 2500\nuser_usec 2000\nsystem_usec 500\n"
    "nr_periods 10\nnr_throttled 4\nthrottled_usec 30\n",
    "memory.current": "5000\n",
    "memory.peak": "9000\n",
    "memory.max": "1048576\n",
    "memory.stat": "anon 3000\nfile 2000\ninactive_file 1500\n",
    "memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n",
    "pids.current": "3\n",
    "pids.max": "100\n",
    "io.stat": "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n8:0 \n",
    "cgroup.procs": "11\n12\n",
    "cgroup.events": "populated 1\nfrozen 0\n",
    "cgroup.freeze": "0\n",
}


@pytest.fixture
def unified(tmp_path: Path) -> Cgroup:
    folder = tmp_path / "skep/c"
    folder.mkdir(parents=True)
    for name, content in UNIFIED_FILES.items():
        (folder / name).write_text(content)
    return Cgroup(Hierarchies(unified=str(tmp_path)), "/skep/c")


def test_statistics_on_v2(unified: Cgroup) -> None:
    assert unified.stats() == Stats(
        cpu=CpuStats(
            total_ns=2_500_000,
            user_ns=2_000_000,
            system_ns=500_000,
            periods=10,
            throttled_periods=4,
            throttled_ns=30_000,
        ),
        memory=MemoryStats(
            usage_bytes=5000,
            max_usage_bytes=9000,
            limit_bytes=1 << 20,
            failures=7,
            detail={"anon": 3000, "file": 2000, "inactive_file": 1500},
        ),
        pids=3,
        pids_limit=100,
        io_bytes=(
            BlockIo(major=8, minor=16, op="read", value=1459200),
            BlockIo(major=8, minor=16, op="write", value=314773504),
        ),
        io_operations=(
            BlockIo(major=8, minor=16, op="read", value=192),
            BlockIo(major=8, minor=16, op="write", value=353),
        ),
    )
    assert unified.stats().memory.working_set_bytes == 3500


def test_max_is_no_limit(unified: Cgroup, tmp_path: Path) -> None:
    for name in ("memory.max", "pids.max"):
        (tmp_path / "skep/c" / name).write_text("max\n")
    stats = unified.stats()
    assert (stats.memory.limit_bytes, stats.pids_limit) == (None, None)


def test_old_kernels_lack_a_peak(unified: Cgroup, tmp_path: Path) -> None:
    """memory.peak came with Linux 5.19."""
    (tmp_path / "skep/c/memory.peak").unlink()
    assert unified.stats().memory.max_usage_bytes == 0


def test_members_kills_and_freezing_on_v2(unified: Cgroup, tmp_path: Path) -> None:
    inner = tmp_path / "skep/c/inner"
    inner.mkdir()
    (inner / "cgroup.procs").write_text("13\n")
    assert unified.processes() == [11, 12, 13]
    assert unified.memory_kills() == 1
    unified.freeze(True)
    assert (tmp_path / "skep/c/cgroup.freeze").read_text().startswith("1")
    assert not unified.is_frozen()
    (tmp_path / "skep/c/cgroup.events").write_text("populated 1\nfrozen 1\n")
    assert unified.is_frozen()


def test_a_cgroup_that_is_gone(tmp_path: Path) -> None:
    gone = Cgroup(Hierarchies(unified=str(tmp_path)), "/skep/none")
    with pytest.raises(NotFound):
        gone.stats()
    with pytest.raises(NotFound):
        gone.freeze(True)
    assert (gone.processes(), gone.memory_kills(), gone.is_frozen()) == ([], 0, False)
    assert gone.remove()


def test_hosts_are_told_apart() -> None:
    v2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    hybrid = (
        "31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup none rw,xattr,name=systemd\n"
        "33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    )
    assert parse_mountinfo(v2) == Hierarchies(unified="/sys/fs/cgroup")
    assert parse_mountinfo(v2).is_unified
    found = parse_mountinfo(hybrid)
    assert found.controllers == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "name=systemd": "/sys/fs/cgroup/systemd",
    }
    assert (found.unified, found.is_unified) == ("/sys/fs/cgroup/unified", False)
    assert Cgroup(found, "/c").folders == [
        "/sys/fs/cgroup/cpu,cpuacct/c", "/sys/fs/cgroup/systemd/c", "/sys/fs/cgroup/unified/c",
    ]  # fmt: skip


def test_statistics_on_v1(tmp_path: Path) -> None:
    files = {
        "cpuacct/c/cpuacct.usage": "5000000",
        "cpuacct/c/cpuacct.stat": "user 3\nsystem 2",
        "cpuacct/c/cpuacct.usage_percpu": "4000000 1000000 ",
        "cpu/c/cpu.stat": "nr_periods 1\nnr_throttled 2\nthrottled_time 3",
        "memory/c/memory.usage_in_bytes": "4096",
        "memory/c/memory.max_usage_in_bytes": "8192",
        "memory/c/memory.limit_in_bytes": "9223372036854771712",
        "memory/c/memory.failcnt": "1",
        "memory/c/memory.stat": "cache 5\ntotal_inactive_file 96",
        "memory/c/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2",
        "pids/c/pids.current": "2",
        "pids/c/pids.max": "max",
        "blkio/c/blkio.throttle.io_service_bytes_recursive": "8:0 Read 10\n8:0 Write 20\n"
        "8:0 Sync 5\nTotal 30",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    controllers = ("cpu", "cpuacct", "memory", "pids", "blkio")
    cgroup = Cgroup(Hierarchies(controllers={n: str(tmp_path / n) for n in controllers}), "/c")
    stats = cgroup.stats()
    assert stats.cpu == CpuStats(
        total_ns=5_000_000,
        user_ns=30_000_000,
        system_ns=20_000_000,
        per_cpu_ns=(4_000_000, 1_000_000),
        periods=1,
        throttled_periods=2,
        throttled_ns=3,
    )
    assert (stats.memory.limit_bytes, stats.memory.working_set_bytes) == (None, 4000)
    assert (stats.pids, stats.pids_limit, cgroup.memory_kills()) == (2, None, 2)
    assert [(io.op, io.value) for io in stats.io_bytes] == [("read", 10), ("write", 20)]
