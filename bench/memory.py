"""Memory as the kernel shares it out: PSS counts a page that N processes share as an Nth."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def pss_mib(pids: Iterable[int]) -> float:
    """Processes that end meanwhile count nothing, nor do those that are forked and not executed
    yet: what they have is their parents'."""
    pids = set(pids)
    return sum(_pss_kib(pid) for pid in pids if not _is_fork_of_one(pid, pids)) / 1024


def processes_with(words: Iterable[str]) -> list[int]:
    """Pids of processes whose command line has one of `words` in it.

    All that belongs to a daemon is told where it lives: its scratch folder is on the command line
    of daemons, helpers, shims and conmons; the containers' own programs do not have it.
    """
    marks = [word.encode() for word in words]
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and any(mark in _read(entry / "cmdline") for mark in marks)
    ]


def processor_s(pids: Iterable[int]) -> float:
    """Processor time that these have used, in seconds; those that end meanwhile count nothing."""
    ticks = 0
    for pid in pids:
        if fields := _stat(pid):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _is_fork_of_one(pid: int, pids: set[int]) -> bool:
    """It bears the command line of its parent, one of these."""
    fields = _stat(pid)
    parent = int(fields[1]) if fields else 0
    return parent in pids and _cmdline(pid) == _cmdline(parent)


def _stat(pid: int) -> list[str]:
    """The fields of proc_pid_stat(5) from the state on; none when the process ended."""
    return _read(Path(f"/proc/{pid}/stat")).decode(errors="replace").rpartition(")")[2].split()


def _cmdline(pid: int) -> bytes:
    return _read(Path(f"/proc/{pid}/cmdline"))


def _pss_kib(pid: int) -> int:
    lines = _read(Path(f"/proc/{pid}/smaps_rollup")).decode().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
