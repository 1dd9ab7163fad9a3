"""Memory as the kernel shares it out: PSS counts a page that N processes share as an Nth."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def pss_mib(pids: Iterable[int]) -> float:
    """Processes that end meanwhile count nothing."""
    return sum(map(_pss_kib, pids)) / 1024


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


def _pss_kib(pid: int) -> int:
    lines = _read(Path(f"/proc/{pid}/smaps_rollup")).decode().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
