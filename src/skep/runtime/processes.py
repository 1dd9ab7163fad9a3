"""Processes that are not our children: whose they are, signals to them, waiting for a condition."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from skep.kit.errors import Internal

_FIRST_RETRY_S = 0.002
_LAST_RETRY_S = 0.2


Meant = Callable[[int], bool]
"""Whether a pid is (still) the process that is meant: numbers are given again."""


def send(pid: int, signum: int, meant: Meant) -> None:
    """Signal a process if it is the one that is meant; one that is gone needs none.

    It is held first and looked at then: the signal reaches whoever was looked at.
    """
    try:
        held = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if meant(pid):
            signal.pidfd_send_signal(held, signum)
    except ProcessLookupError:
        return
    finally:
        os.close(held)


def is_conmon_of(pid: int, container_id: str) -> bool:
    """Whether `pid` is (still) a conmon that was started for the container: pids are reused."""
    words = _cmdline(pid)
    return words[0].endswith(b"conmon") and container_id.encode() in words if words else False


def is_member(pid: int, cgroup_path: str) -> bool:
    """Whether `pid` is (still) a living process of the container: its cgroup says so."""
    try:
        memberships = Path(f"/proc/{pid}/cgroup").read_bytes() if pid else b""
    except OSError:
        return False
    path = cgroup_path.encode()
    inside = any(line.endswith(path) or path + b"/" in line for line in memberships.split(b"\n"))
    return inside and not _is_zombie(pid)


def maker_of(container_id: str, root: Path) -> Meant:
    """conmon and runc processes that work on the container below `root`, by their command lines."""
    name, place = container_id.encode(), str(root).encode()

    def meant(pid: int) -> bool:
        words = _cmdline(pid)
        return name in words and any(word.endswith(place) for word in words)

    return meant


def maker_of_exec(pidfile: Path) -> Meant:
    """The same of one exec, which its pid file names."""
    name = str(pidfile).encode()
    return lambda pid: name in _cmdline(pid)


def becomes(program: str) -> Meant:
    """Processes that are just being executed as `program`: until the kernel has laid out their
    arguments nothing says for whom. posix_spawn and vfork return before that. To be asked before
    what goes by the arguments."""

    def meant(pid: int) -> bool:
        try:
            return not _cmdline(pid) and Path(f"/proc/{pid}/exe").samefile(program)
        except OSError:  # it is gone, or of the kernel
            return False

    return meant


def child_of(meant: Meant) -> Meant:
    return lambda pid: meant(_parent(pid))


def one_of(*any_of_these: Meant) -> Meant:
    """Asked in this order."""
    return lambda pid: any(meant(pid) for meant in any_of_these)


def pids_of(meant: Meant) -> list[int]:
    """Looks at every process of the machine: for repairs, when no pid file tells."""
    with os.scandir("/proc") as entries:
        pids = [int(entry.name) for entry in entries if entry.name.isdecimal()]
    return [pid for pid in pids if meant(pid)]


async def until(done: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
    """Ask again and again, ever more slowly. Raises Internal with `otherwise` after `timeout_s`."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    pause_s = _FIRST_RETRY_S
    while not done():
        if asyncio.get_running_loop().time() > deadline:
            raise Internal(f"gave up after {timeout_s:.0f} s: {otherwise}")
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LAST_RETRY_S)


def _is_zombie(pid: int) -> bool:
    return _stat(pid)[0] in b"ZX"


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])


def _stat(pid: int) -> list[bytes]:
    """State, parent and so on (proc(5)); of one that is gone, dead and nobody's. Before these the
    line holds the process's name, which it chooses itself: any bytes."""
    try:
        line = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return [b"X", b"0"]
    return line.rpartition(b")")[2].split()


def _cmdline(pid: int) -> list[bytes]:
    """Empty for a process that is gone, and for a zombie."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes() if pid else b""
    except OSError:
        return []
    return line.split(b"\0") if line else []
