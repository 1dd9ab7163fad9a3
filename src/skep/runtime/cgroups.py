"""A container's cgroups: what they used, who is in them, whether the kernel killed for memory.

Three kinds of host: every controller in a v1 hierarchy of its own (v1), the same with an empty v2
tree beside it (hybrid), and one v2 tree (unified). Sources: kernel Documentation/admin-guide/
cgroup-v1/ and cgroup-v2.rst.

The files are the kernel's, in memory: reading and writing them here does not wait for a disk.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from skep.kit.errors import NotFound
from skep.runtime.bundle import Value

V1_UNLIMITED_BYTES = 0x7FFF_FFFF_FFFF_F000
"""What v1 shows in memory.limit_in_bytes when there is no limit: the largest page-aligned long."""

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


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


class Hierarchies(Value, frozen=True):
    """Where this host's cgroups are mounted: `unified` on a v2 host, else one per v1 controller.

    A hybrid host has `controllers` and an empty `unified` tree; `is_unified` tells them apart.
    """

    controllers: dict[str, str] = msgspec.field(default_factory=dict)
    """v1: controller (or "name=systemd") -> mount point; co-mounted ones share a mount point."""
    unified: str | None = None

    @property
    def is_unified(self) -> bool:
        return not self.controllers and self.unified is not None


def parse_mountinfo(text: str) -> Hierarchies:
    """Hierarchies from the content of /proc/self/mountinfo; the first mount of each counts.

    Users mount things too, at paths of any bytes but the newline, which the kernel writes as \\012.
    """
    controllers: dict[str, str] = {}
    unified = None
    for line in text.rstrip("\n").split("\n"):
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        point = left.split(" ")[4]
        if kind == "cgroup2":
            unified = unified or point
        elif kind == "cgroup":
            for name in options.split(","):
                if name not in _V1_MOUNT_FLAGS and not name.startswith("release_agent="):
                    controllers.setdefault(name, point)
    return Hierarchies(controllers=controllers, unified=unified)


_V1_MOUNT_FLAGS = {"rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode"}


def of_this_host() -> Hierarchies:
    return parse_mountinfo(os.fsdecode(Path("/proc/self/mountinfo").read_bytes()))


class Cgroup:
    """The cgroup named `path` ("/skep/<id>") in every hierarchy of the host.

    The methods raise NotFound when it is not there, unless they say otherwise.
    """

    def __init__(self, hierarchies: Hierarchies, path: str) -> None:
        self._hierarchies = hierarchies
        self._path = path

    @property
    def folders(self) -> list[str]:
        """Each folder once, whether it exists or not."""
        points = [*self._hierarchies.controllers.values()]
        if self._hierarchies.unified is not None:
            points.append(self._hierarchies.unified)
        return [point + self._path for point in dict.fromkeys(points)]

    def exists(self) -> bool:
        return any(Path(folder).is_dir() for folder in self.folders)

    def stats(self) -> Stats:
        """One reading: about eight small files."""
        if self._hierarchies.is_unified:
            return read_unified(self._file)
        return read_v1(self._v1_file)

    def processes(self) -> list[int]:
        """Pids of all members, also of cgroups that the container made below its own."""
        pids: list[int] = []
        for folder, _, _ in os.walk(self._folder_of("pids", "memory", "freezer")):
            pids += [int(pid) for pid in _lines(f"{folder}/cgroup.procs")]
        return sorted(set(pids))

    def memory_kills(self) -> int:
        """How often the kernel killed a member for memory; 0 when nobody counts."""
        if self._hierarchies.is_unified:
            return _numbers(_lines(self._file("memory.events"))).get("oom_kill", 0)
        return _numbers(_lines(self._v1_file("memory", "memory.oom_control"))).get("oom_kill", 0)

    def freeze(self, frozen: bool) -> None:
        """Ask the kernel to stop or to continue all members; `is_frozen` tells when it is so."""
        if self._hierarchies.is_unified:
            _write(self._file("cgroup.freeze"), "1" if frozen else "0")
        else:
            state = "FROZEN" if frozen else "THAWED"
            _write(self._v1_file("freezer", "freezer.state"), state)

    def is_frozen(self) -> bool:
        if self._hierarchies.is_unified:
            return _numbers(_lines(self._file("cgroup.events"))).get("frozen") == 1
        return _lines(self._v1_file("freezer", "freezer.state")) == ["FROZEN"]

    def take_in(self, pids: Iterable[int]) -> None:
        """Move processes here in the v2 tree, which is where systemd looks; v1 trees do not matter.

        Each move alone waits 10 ms for the kernel, fifty at once 30 ms. Those that ended meanwhile
        need none.
        """
        folder = f"{self._hierarchies.unified}{self._path}"
        if self._hierarchies.unified is None:
            return
        Path(folder).mkdir(parents=True, exist_ok=True)
        for pid in pids:
            with suppress(ProcessLookupError):
                _write(f"{folder}/cgroup.procs", str(pid))

    def remove(self) -> bool:
        """Remove it and all below it; False while a member is still leaving: try again soon."""
        done = True
        for folder in self.folders:
            done = _remove_tree(folder) and done
        return done

    def remove_if_empty(self) -> None:
        """Remove it unless it has members or cgroups below it."""
        for folder in self.folders:
            _rmdir(folder)

    def _file(self, name: str) -> str:
        return f"{self._hierarchies.unified}{self._path}/{name}"

    def _v1_file(self, controller: str, name: str) -> str:
        return f"{self._hierarchies.controllers.get(controller, '/nowhere')}{self._path}/{name}"

    def _folder_of(self, *controllers: str) -> str:
        """A hierarchy that has every member: v2's only one, or the first v1 one that is mounted."""
        for name in controllers:
            if name in self._hierarchies.controllers:
                return self._hierarchies.controllers[name] + self._path
        return f"{self._hierarchies.unified}{self._path}"


def read_v1(file: Callable[[str, str], str]) -> Stats:
    """Stats from v1 files; `file(controller, name)` is the path of one."""
    memory = "memory"
    limit = _number(file(memory, "memory.limit_in_bytes"))
    usage = _number(file(memory, "memory.usage_in_bytes"))
    ticks = _numbers(_lines(file("cpuacct", "cpuacct.stat")))
    throttle = _numbers(_lines(file("cpu", "cpu.stat")))
    total = _number(file("cpuacct", "cpuacct.usage"))
    if usage is None and total is None:
        raise NotFound("no statistics: the container has no cgroup, it is not running")
    return Stats(
        cpu=CpuStats(
            total_ns=total or 0,
            user_ns=ticks.get("user", 0) * _TICK_NS,
            system_ns=ticks.get("system", 0) * _TICK_NS,
            per_cpu_ns=_per_cpu(_lines(file("cpuacct", "cpuacct.usage_percpu"))),
            periods=throttle.get("nr_periods", 0),
            throttled_periods=throttle.get("nr_throttled", 0),
            throttled_ns=throttle.get("throttled_time", 0),
        ),
        memory=MemoryStats(
            usage_bytes=usage or 0,
            max_usage_bytes=_number(file(memory, "memory.max_usage_in_bytes")) or 0,
            limit_bytes=None if limit is None or limit >= V1_UNLIMITED_BYTES else limit,
            failures=_number(file(memory, "memory.failcnt")) or 0,
            detail=_numbers(_lines(file(memory, "memory.stat"))),
        ),
        pids=_number(file("pids", "pids.current")) or 0,
        pids_limit=_number(file("pids", "pids.max")),
        io_bytes=_v1_io(file("blkio", "blkio.throttle.io_service_bytes_recursive")),
        io_operations=_v1_io(file("blkio", "blkio.throttle.io_serviced_recursive")),
    )


def read_unified(file: Callable[[str], str]) -> Stats:
    """Stats from v2 files; `file(name)` is the path of one."""
    cpu = _numbers(_lines(file("cpu.stat")))
    if not cpu:
        raise NotFound("no statistics: the container has no cgroup, it is not running")
    events = _numbers(_lines(file("memory.events")))
    io = _lines(file("io.stat"))
    return Stats(
        cpu=CpuStats(
            total_ns=cpu.get("usage_usec", 0) * 1000,
            user_ns=cpu.get("user_usec", 0) * 1000,
            system_ns=cpu.get("system_usec", 0) * 1000,
            periods=cpu.get("nr_periods", 0),
            throttled_periods=cpu.get("nr_throttled", 0),
            throttled_ns=cpu.get("throttled_usec", 0) * 1000,
        ),
        memory=MemoryStats(
            usage_bytes=_number(file("memory.current")) or 0,
            max_usage_bytes=_number(file("memory.peak")) or 0,
            limit_bytes=_number(file("memory.max")),
            failures=events.get("max", 0),
            detail=_numbers(_lines(file("memory.stat"))),
        ),
        pids=_number(file("pids.current")) or 0,
        pids_limit=_number(file("pids.max")),
        io_bytes=_unified_io(io, {"rbytes": "read", "wbytes": "write"}),
        io_operations=_unified_io(io, {"rios": "read", "wios": "write"}),
    )


def _v1_io(path: str) -> tuple[BlockIo, ...]:
    """Lines `8:0 Read 4096`; sums and other operations are left out."""
    found = []
    for line in _lines(path):
        words = line.split()
        if len(words) == 3 and words[1] in {"Read", "Write"}:
            major, minor = words[0].split(":")
            found.append(
                BlockIo(
                    major=int(major), minor=int(minor), op=words[1].lower(), value=int(words[2])
                )
            )
    return tuple(found)


def _unified_io(lines: Iterable[str], names: dict[str, str]) -> tuple[BlockIo, ...]:
    """Lines `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`."""
    found = []
    for line in lines:
        device, *fields = line.split()
        major, _, minor = device.partition(":")
        for field in fields:
            key, _, value = field.partition("=")
            if key in names and minor:
                found.append(
                    BlockIo(major=int(major), minor=int(minor), op=names[key], value=int(value))
                )
    return tuple(found)


def _per_cpu(lines: list[str]) -> tuple[int, ...]:
    return tuple(int(word) for line in lines for word in line.split())


def _numbers(lines: Iterable[str]) -> dict[str, int]:
    """Lines `name number` as a dict."""
    pairs = (line.split() for line in lines)
    return {words[0]: int(words[1]) for words in pairs if len(words) == 2}


def _number(path: str) -> int | None:
    """The number in a file; None for "max", or when the file or its controller is not there."""
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdecimal() else None


def _lines(path: str) -> list[str]:
    """A cgroup file's lines; none when it is not there, or its cgroup is being removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        pieces = []
        while piece := os.read(descriptor, 65536):
            pieces.append(piece)
    except OSError:
        return []
    finally:
        os.close(descriptor)
    return b"".join(pieces).decode().splitlines()


def _write(path: str, value: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound("the container has no cgroup: it is not running") from None
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def _remove_tree(folder: str) -> bool:
    """rmdir from the leaves up (a cgroup's files go with it); most have nothing below."""
    if _rmdir(folder):
        return True
    for inner, _, _ in os.walk(folder, topdown=False):
        _rmdir(inner)
    return not Path(folder).exists()


def _rmdir(folder: str) -> bool:
    """False while the cgroup has members or cgroups below it."""
    try:
        Path(folder).rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in {errno.EBUSY, errno.ENOTEMPTY}:
            raise
        return False
    return True
