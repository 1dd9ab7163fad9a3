"""What every Runtime does: one suite for runc under conmon and for the fake."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from skep.kit.errors import Conflict, NotFound, NotModified
from skep.runtime.bundle import Bundle, Limits
from skep.runtime.door import CannotRun, Chunk, ExecSpec, Io, ProcessState, Runtime, Stream
from skep.runtime.log_files import read_log
from skep.testing.container_host import ContainerHost
from skep.testing.runtime import FakeRuntime

WAITS_FOR_SIGNAL = 'trap "exit 143" TERM; echo ready; while :; do sleep 1000 & wait; done'


@dataclass
class Case:
    """A runtime and the programs that it knows, by what they do."""

    runtime: Runtime
    new: Callable[..., Bundle]
    folder: Path
    exits: Callable[[int], tuple[str, ...]]
    waits: tuple[str, ...]
    says: Callable[[str], tuple[str, ...]]
    copies: tuple[str, ...]
    missing: tuple[str, ...]

    async def running(self, argv: tuple[str, ...], **io: object) -> str:
        bundle = self.new(*argv)
        await self.runtime.create(bundle, Io(**io))  # type: ignore[arg-type]
        await self.runtime.start(bundle.id)
        return bundle.id


@pytest.fixture(params=["conmon", "fake"])
async def case(
    request: pytest.FixtureRequest, host: ContainerHost, tmp_path: Path
) -> AsyncIterator[Case]:
    if request.param == "fake":
        yield Case(
            runtime=FakeRuntime(),
            new=lambda *argv: Bundle(id=secrets.token_hex(32), rootfs="/", argv=argv),
            folder=tmp_path,
            exits=lambda code: ("exit", str(code)),
            waits=("wait",),
            says=lambda text: ("say", text),
            copies=("cat",),
            missing=("nope",),
        )
        return
    yield Case(
        runtime=host.runtime,
        new=host.bundle,
        folder=tmp_path,
        exits=lambda code: ("/bin/sh", "-c", f"exit {code}"),
        waits=("/bin/sh", "-c", WAITS_FOR_SIGNAL),
        says=lambda text: ("/bin/sh", "-c", f"echo {text}; exec sleep 1000"),
        copies=("/bin/cat",),
        missing=("/bin/nope",),
    )


async def all_of(stream: Stream) -> bytes:
    """Everything until the stream's end."""
    pieces = []
    while (chunk := await stream.read()) is not None:
        pieces.append(chunk.data)
    return b"".join(pieces)


async def lines_in(path: Path) -> list[bytes]:
    return [line.text async for batch in read_log(path) for line in batch]


async def appears(path: Path, line: bytes) -> None:
    """Wait until the log holds the line."""
    async with asyncio.timeout(10):
        while line not in await lines_in(path):
            await asyncio.sleep(0.01)


async def test_a_container_is_created_started_and_found(case: Case) -> None:
    bundle = case.new(*case.waits)
    created = await case.runtime.create(bundle, Io())
    assert (await case.runtime.find(bundle.id)).state == "created"
    await case.runtime.start(bundle.id)
    found = await case.runtime.find(bundle.id)
    assert (found.state, found.pid) == ("running", created.pid)
    assert await case.runtime.discover() == [found]


@pytest.mark.parametrize("code", [0, 1, 42, 255])
async def test_wait_tells_the_exit_code(case: Case, code: int) -> None:
    container_id = await case.running(case.exits(code))
    end = await case.runtime.wait(container_id)
    assert (end.code, end.oom_killed, end.lost) == (code, False, False)
    found = await case.runtime.find(container_id)
    assert found == ProcessState(id=container_id, state="exited", exit=end)


async def test_a_killed_container_exits_with_128_and_the_signal(case: Case) -> None:
    container_id = await case.running(case.waits)
    await case.runtime.signal(container_id, signal.SIGKILL)
    assert (await case.runtime.wait(container_id)).code == 137


async def test_a_program_handles_its_stop_signal(case: Case) -> None:
    log = case.folder / "log"
    container_id = await case.running(case.waits, log_path=log)
    if not isinstance(case.runtime, FakeRuntime):
        await appears(log, b"ready")
    await case.runtime.signal(container_id, signal.SIGTERM)
    assert (await case.runtime.wait(container_id)).code == 143


async def test_many_wait_and_one_may_be_cancelled(case: Case) -> None:
    container_id = await case.running(case.waits)
    waiting = [asyncio.create_task(case.runtime.wait(container_id)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting.pop().cancel()
    await case.runtime.signal(container_id, signal.SIGKILL)
    first, second = await asyncio.gather(*waiting)
    assert first == second == await case.runtime.wait(container_id)


async def test_an_unknown_program_is_the_callers_fault_and_leaves_nothing(case: Case) -> None:
    bundle = case.new(*case.missing)
    with pytest.raises(CannotRun, match=r"nope.*(not found|no such file)") as refused:
        await case.runtime.create(bundle, Io())
    assert refused.value.exit_code == 127
    assert (await case.runtime.find(bundle.id)).state == "absent"
    assert await case.runtime.discover() == []


async def test_an_id_is_taken_once(case: Case) -> None:
    bundle = case.new(*case.waits)
    await case.runtime.create(bundle, Io())
    with pytest.raises(Conflict):
        await case.runtime.create(bundle, Io())
    assert (await case.runtime.find(bundle.id)).state == "created"


async def test_starting_twice_changes_nothing(case: Case) -> None:
    container_id = await case.running(case.waits)
    with pytest.raises(NotModified):
        await case.runtime.start(container_id)


async def test_an_ended_container_takes_no_signal_and_no_pause(case: Case) -> None:
    container_id = await case.running(case.exits(0))
    await case.runtime.wait(container_id)
    with pytest.raises(Conflict):
        await case.runtime.signal(container_id, signal.SIGTERM)
    with pytest.raises(Conflict):
        await case.runtime.pause(container_id)


async def test_what_is_not_here_is_not_found(case: Case) -> None:
    absent = "0" * 64
    for call in (case.runtime.start, case.runtime.wait, case.runtime.attach, case.runtime.pause):
        with pytest.raises(NotFound):
            await call(absent)
    with pytest.raises(NotFound):
        await case.runtime.signal(absent, signal.SIGKILL)
    assert (await case.runtime.find(absent)).state == "absent"


async def test_a_running_container_is_removed_only_by_force(case: Case) -> None:
    container_id = await case.running(case.waits)
    with pytest.raises(Conflict):
        await case.runtime.delete(container_id)
    await case.runtime.delete(container_id, force=True)
    assert (await case.runtime.find(container_id)).state == "absent"


async def test_removing_and_repairing_may_be_repeated(case: Case) -> None:
    container_id = await case.running(case.exits(0))
    await case.runtime.wait(container_id)
    for _ in range(2):
        await case.runtime.delete(container_id)
        await case.runtime.repair(container_id)
    assert await case.runtime.discover() == []


async def test_a_paused_container_is_found_paused_and_can_be_killed(case: Case) -> None:
    container_id = await case.running(case.waits)
    await case.runtime.pause(container_id)
    assert (await case.runtime.find(container_id)).paused
    await case.runtime.resume(container_id)
    assert not (await case.runtime.find(container_id)).paused
    await case.runtime.pause(container_id)
    await case.runtime.delete(container_id, force=True)
    assert (await case.runtime.find(container_id)).state == "absent"


async def test_an_attached_client_talks_to_the_program(case: Case) -> None:
    bundle = case.new(*case.copies)
    await case.runtime.create(bundle, Io(stdin=True, stdin_once=True))
    stream = await case.runtime.attach(bundle.id)
    await case.runtime.start(bundle.id)
    await stream.write(b"hello\n")
    assert await stream.read() == Chunk(stream=1, data=b"hello\n")
    stream.close_stdin()
    assert await stream.read() is None
    assert (await case.runtime.wait(bundle.id)).code == 0
    stream.close()


async def test_closing_a_stream_ends_its_reader_and_not_the_program(case: Case) -> None:
    container_id = await case.running(case.waits, stdin=True)
    stream = await case.runtime.attach(container_id)
    reader = asyncio.create_task(all_of(stream))
    await asyncio.sleep(0.01)
    stream.close()
    async with asyncio.timeout(5):
        await reader
    assert (await case.runtime.find(container_id)).state == "running"


async def test_the_log_keeps_what_was_written(case: Case) -> None:
    log = case.folder / "log"
    container_id = await case.running(case.says("words"), log_path=log)
    await appears(log, b"words")
    await case.runtime.delete(container_id, force=True)
    assert await lines_in(log) == [b"words"]


async def test_an_exec_has_its_own_streams_and_exit_code(case: Case) -> None:
    container_id = await case.running(case.waits)
    spec = ExecSpec(exec_id="e1", argv=case.copies, attach=True, stdin=True)
    session = await case.runtime.exec(container_id, spec)
    assert session.stream is not None
    await session.stream.write(b"across")
    session.stream.close_stdin()
    assert await all_of(session.stream) == b"across"
    session.stream.close()
    assert (await session.wait()).code == 0
    failing = await case.runtime.exec(container_id, ExecSpec(exec_id="e2", argv=case.exits(3)))
    assert (await failing.wait()).code == 3
    assert (await case.runtime.find(container_id)).state == "running"


async def test_an_exec_of_an_unknown_program_is_the_callers_fault(case: Case) -> None:
    container_id = await case.running(case.waits)
    for attach in (False, True):
        with pytest.raises(CannotRun, match="nope"):
            await case.runtime.exec(
                container_id, ExecSpec(exec_id="e", argv=case.missing, attach=attach)
            )


async def test_an_exec_needs_a_running_container(case: Case) -> None:
    bundle = case.new(*case.waits)
    await case.runtime.create(bundle, Io())
    with pytest.raises(Conflict):
        await case.runtime.exec(bundle.id, ExecSpec(exec_id="e", argv=case.exits(0)))


async def test_an_exec_can_be_killed(case: Case) -> None:
    container_id = await case.running(case.waits)
    session = await case.runtime.exec(container_id, ExecSpec(exec_id="e", argv=case.waits))
    await session.kill(signal.SIGKILL)
    assert (await session.wait()).code == 137


async def test_statistics_and_processes_of_a_running_container(case: Case) -> None:
    container_id = await case.running(case.waits)
    stats = await case.runtime.stats(container_id)
    assert stats.memory.usage_bytes > 0
    assert stats.pids >= 1
    assert (await case.runtime.find(container_id)).pid in await case.runtime.processes(container_id)


async def test_limits_can_be_changed_while_it_runs(case: Case) -> None:
    container_id = await case.running(case.waits)
    await case.runtime.update(container_id, Limits(memory_bytes=64 << 20, pids_limit=50))
    stats = await case.runtime.stats(container_id)
    assert (stats.memory.limit_bytes, stats.pids_limit) == (64 << 20, 50)


async def test_the_probe_runs_and_leaves_nothing(case: Case) -> None:
    await case.runtime.probe()
    assert await case.runtime.discover() == []


async def test_who_waits_learns_of_a_removal_by_force(case: Case) -> None:
    container_id = await case.running(case.waits)
    waiting = asyncio.create_task(case.runtime.wait(container_id))
    await asyncio.sleep(0)
    await case.runtime.delete(container_id, force=True)
    assert (await waiting).code == 137
