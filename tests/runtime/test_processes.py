"""Whose a process is, while it is only just becoming what it will be."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from skep.kit.process import find_program, reaped, spawn
from skep.runtime.processes import becomes, pids_of

ENV = {"PATH": "/usr/bin:/bin"}


async def test_a_process_is_known_from_the_moment_it_was_started() -> None:
    """A third of these have no arguments yet when they are looked at: such a conmon was missed by
    the repair of a create that was cut short, and went on in the place that was removed."""
    program = find_program("sleep")
    assert program is not None

    def arguments_are_there(pid: int) -> bool:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""

    becoming = becomes(program)
    for _ in range(200):
        pid = spawn([program, "1000"], ENV)
        known = becoming(pid) or arguments_are_there(pid)
        os.kill(pid, signal.SIGKILL)
        await reaped(pid)
        assert known


def test_what_runs_and_what_is_of_the_kernel_becomes_nothing() -> None:
    program = str(Path("/proc/self/exe").readlink())
    assert os.getpid() not in pids_of(becomes(program))
    assert not becomes(program)(2)
