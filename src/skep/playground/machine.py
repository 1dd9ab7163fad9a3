"""One node of a playground: its namespaces, its first process, and the daemon in it.

The first process of a node does what an init does: it starts the daemon, starts it again when it
dies, and takes up orphans. When it is killed the kernel kills everything in the node with it, and
the node's mounts go with its mount namespace: that is what a machine losing its power looks like.

    us ── fork ── (enters the namespaces) ── fork ── init (pid 1 there) ── fork ── daemon

The daemon's code is imported once, before the forks: the nodes share its memory and start in the
time that a fork takes.
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from skep.kit.errors import Internal
from skep.kit.linux import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_REC, mount
from skep.network import netns
from skep.playground.places import MachinePlace

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWPID = 0x00020000, 0x04000000, 0x20000000
_PR_SET_PDEATHSIG = 1
_RESTART_S = 0.3
_BIRTH_S = 10.0
_ENDED = ("Z", "X")
_NSPID = re.compile(r"^NSpid:\t\d+\t(\d+)$", re.MULTILINE)
_DEATH_S = 15.0
_libc = ctypes.CDLL(None, use_errno=True)

Run = Callable[[MachinePlace], int]
"""Runs the daemon of a node until it is told to stop; gives its exit code."""


def boot(place: MachinePlace, run: Run) -> int:
    """Start a node; gives the pid of its first process as we see it. Raises Internal."""
    with _uninterrupted():
        said = _fork_first(place, run)
    if not said.isdigit():
        raise Internal(f"node {place.name} cannot be started: {said or 'see ' + str(place.log)}")
    return int(said)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the end: in the middle of a fork Python loses it (callbacks that run there
    may not raise), and a half-made child would be nobody's."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _fork_first(place: MachinePlace, run: Run) -> str:
    """The new node's first pid, or what went wrong, "" when nobody could say."""
    reading, writing = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _die_with(parent)
        os.close(reading)
        _enter_and_init(place, run, writing)
    os.close(writing)
    try:
        _await_end(child)
        os.waitpid(child, 0)
        return os.read(reading, 4096).decode()
    finally:
        os.close(reading)


def power_off(pids: Iterable[int]) -> None:
    """Kill these processes, and with the first of a node everything in the node; wait until they
    are gone. Raises Internal when one is not after some seconds."""
    watched: list[int] = []
    try:
        for pid in pids:
            try:
                watched.append(os.pidfd_open(pid))
                signal.pidfd_send_signal(watched[-1], signal.SIGKILL)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + _DEATH_S
        for pidfd in watched:
            if not _is_over(pidfd, deadline - time.monotonic()):
                raise Internal(
                    f"a killed node is still there after {_DEATH_S:g} s: a process in it waits for "
                    "the kernel. Try again"
                )
    finally:
        for pidfd in watched:
            os.close(pidfd)


def processes_in(namespaces: Iterable[Path]) -> list[int]:
    """All processes in these network namespaces: whatever runs in a node, whoever started it."""
    wanted = {(status.st_dev, status.st_ino) for status in map(os.stat, namespaces)}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            status = (process / "ns/net").stat()
        except OSError:
            continue  # it ended just now
        if (status.st_dev, status.st_ino) in wanted:
            found.append(int(process.name))
    return found


def daemon_of(place: MachinePlace) -> int:
    """The pid of the node's daemon as we see it; 0 while none runs.

    The node's init says which it is. A name tells nothing: whatever the daemon starts bears the
    daemon's name until it executes a program of its own.
    """
    try:
        said = place.daemon.read_text()
    except FileNotFoundError:
        return 0
    found = (pid for pid in processes_in([place.netns]) if _pid_in_node(pid) == said)
    return next((pid for pid in found if started_at(pid)), 0)


def _pid_in_node(pid: int) -> str:
    """How the node itself counts the process; "" for one that ended or is in a container (NSpid,
    proc_pid_status(5): the pid here, in the node, in the container)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    found = _NSPID.search(status)
    return found[1] if found else ""


def started_at(pid: int) -> int:
    """The process's start time in clock ticks since boot, 0 when it ended or never was: with the
    pid it names one process for ever."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    state, *numbers = text.rpartition(")")[2].split()
    return 0 if state in _ENDED else int(numbers[18])


def _die_with(parent: int) -> None:
    """Until it is in its namespaces nobody would find it there, who sweeps away after a kill
    (PR_SET_PDEATHSIG, prctl(2): the init that it forks does not inherit that)."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _await_end(child: int) -> None:
    """Wait for a child that only has to make namespaces; one that hangs is killed."""
    pidfd = os.pidfd_open(child)
    try:
        if not _is_over(pidfd, _BIRTH_S):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)


def _is_over(pidfd: int, wait_s: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(max(0.0, wait_s) * 1000))


def _enter_and_init(place: MachinePlace, run: Run, report: int) -> NoReturn:
    """In the first fork: make the namespaces, fork the init into them, tell its pid and go."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.setsid()
        _redirect_output(place.log)
        _close_all_but(report)  # a lock that we hold would be held by the node for ever
        target = netns.open_at(place.netns)
        netns.enter(target)
        os.close(target)
        _unshare(_CLONE_NEWNS | _CLONE_NEWUTS | _CLONE_NEWPID)
        mount("", Path("/"), "", MS_REC | MS_PRIVATE)
        socket.sethostname(place.name)
        init = os.fork()
        if init == 0:
            os.close(report)
            _live(place, run)
        os.write(report, str(init).encode())
        os._exit(0)
    except BaseException as error:
        os.write(report, f"{type(error).__name__}: {error}".encode()[:4000])
        os._exit(1)


def _live(place: MachinePlace, run: Run) -> NoReturn:
    """The node's first process, to its end: nothing of the parent's program may go on in it."""
    try:
        _init(place, run)
    except BaseException as error:
        _tell(f"the first process of {place.name} failed: {error!r}")
    finally:
        os._exit(1)


def _init(place: MachinePlace, run: Run) -> None:
    """Pid 1 of the node."""
    mount("proc", Path("/proc"), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _call_ourselves(f"init {place.name}")
    place.daemon.unlink(missing_ok=True)
    stopping = False
    daemon = 0

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        if daemon:
            os.kill(daemon, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while not stopping:
        daemon = os.fork()
        if daemon == 0:
            _daemon(place, run)
        place.daemon.write_text(str(daemon))
        while True:
            pid, _ = os.wait()
            if pid == daemon:
                break
        if not stopping:
            time.sleep(_RESTART_S)


def _daemon(place: MachinePlace, run: Run) -> NoReturn:
    code = 1
    try:
        _call_ourselves(f"skep {place.name}")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        code = run(place)
    except BaseException as error:
        _tell(f"the daemon of {place.name} failed: {error!r}")
    finally:
        os._exit(code)


def _call_ourselves(name: str) -> None:
    """For ps and top."""
    Path("/proc/self/comm").write_text(name)


def _tell(what: str) -> None:
    """To the node's log; sys.stderr may be our parent's, and be something else."""
    os.write(2, f"{what}\n".encode())


def _redirect_output(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    for theirs, ours in ((0, null), (1, out), (2, out)):
        os.dup2(ours, theirs)
    os.close(null)
    os.close(out)


def _close_all_but(kept: int) -> None:
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))


def _unshare(flags: int) -> None:
    if _libc.unshare(flags) < 0:
        code = ctypes.get_errno()
        raise Internal(f"cannot make namespaces: {os.strerror(code)} (are you root?)")
