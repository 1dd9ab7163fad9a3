"""Other programs, without threads and signal handlers."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from skep.kit.process import Child, ended, find_program, read_until, reaped, run, spawn

ENV = {"PATH": "/usr/bin:/bin"}


def children() -> set[str]:
    """The pids of ours, zombies too."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


async def test_a_program_runs_to_its_end() -> None:
    argv = ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]
    assert await run(argv, ENV, 10) == (3, b"out\nerr\n")


async def test_a_killed_program_has_a_negative_code() -> None:
    pid = spawn(["/bin/sleep", "1000"], ENV)
    os.kill(pid, signal.SIGKILL)
    assert await reaped(pid) == -9


async def test_a_program_that_takes_too_long_is_killed() -> None:
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        await run(["/bin/sleep", "1000"], ENV, 0.05)
    assert time.monotonic() - begun < 5


async def test_a_killed_program_is_collected_though_nobody_waits_for_it() -> None:
    before = children()
    child = Child(["/bin/sleep", "1000"], ENV)
    ending = asyncio.create_task(child.end())
    await asyncio.sleep(0)
    ending.cancel()
    async with asyncio.timeout(10):
        while children() - before:  # a zombie is one as well
            await asyncio.sleep(0.01)


async def test_a_child_is_killed_when_the_block_about_it_raises() -> None:
    before = children()
    with pytest.raises(LookupError):
        async with Child(["/bin/sleep", "1000"], ENV):
            raise LookupError
    assert children() <= before


async def test_a_child_that_ended_keeps_its_code() -> None:
    async with Child(["/bin/sh", "-c", "exit 4"], ENV) as child:
        assert await child.ended() == 4
    assert await child.ended() == 4


async def test_a_program_that_is_not_there_cannot_be_run() -> None:
    with pytest.raises(FileNotFoundError):
        await run(["/no/such/program"], ENV, 1)


def held_descriptors() -> list[str]:
    return sorted(entry.name for entry in Path("/proc/self/fd").iterdir())


async def test_no_thread_is_started_and_no_descriptor_is_left() -> None:
    before = held_descriptors()
    await asyncio.gather(*(run(["/bin/true"], ENV, 10) for _ in range(5)))
    assert threading.active_count() == 1
    assert held_descriptors() == before


async def test_only_the_named_descriptors_are_inherited() -> None:
    ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    named, hidden = (os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) for _ in range(2))
    try:
        pid = spawn(["/bin/ls", "/proc/self/fd"], ENV, keep_fds=[named], stdout=theirs)
        os.close(theirs)
        numbers = {int(number) for number in (await read_until(ours, None)).split()}
        assert await reaped(pid) == 0
    finally:
        for descriptor in (ours, named, hidden):
            os.close(descriptor)
    assert named in numbers
    assert numbers & {ours, theirs, hidden} <= {3}  # ls itself opens the folder as its lowest


async def test_ignored_signals_are_not_inherited() -> None:
    """Python ignores SIGPIPE; a program that did so would write on into closed pipes."""
    code, output = await run(["/bin/cat", "/proc/self/status"], ENV, 10)
    [mask] = [line for line in output.splitlines() if line.startswith(b"SigIgn:")]
    ignored = int(mask.split()[1], 16)
    assert (code, ignored >> (signal.SIGPIPE - 1) & 1) == (0, 0)


async def test_the_end_of_a_stranger_can_be_awaited() -> None:
    pid = spawn(["/bin/sleep", "0.05"], ENV)
    await asyncio.wait_for(ended(pid), 10)
    assert await reaped(pid) == 0
    await ended(pid)


def test_programs_are_found_where_path_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_program("sh") == "/usr/bin/sh"
    assert find_program("/bin/sh") == "/bin/sh"
    assert find_program("no-such-program") is None
