"""A `Runtime` in memory: containers are values, programs are a few words.

A container's program is its first word of argv, as far as the fake knows it; others run until they
are signalled.

    exit N     ends at once with code N
    say TEXT   writes TEXT and a newline to stdout, and runs on
    cat        writes back what it reads from stdin, ends with 0 at stdin's end
"""

from __future__ import annotations

import asyncio
import signal as signals
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from skep.kit.clock import utc_now
from skep.kit.errors import Conflict, NotFound, NotModified
from skep.runtime.bundle import Bundle, Limits
from skep.runtime.cgroups import MemoryStats, Stats
from skep.runtime.door import (
    STDOUT,
    CannotRun,
    Chunk,
    Created,
    Exec,
    ExecSpec,
    Exit,
    Io,
    ProcessState,
    Stream,
)

_IGNORED_SIGNALS = {0, signals.SIGCHLD, signals.SIGCONT, signals.SIGWINCH, signals.SIGURG}


class FakeStream:
    """A line to a fake process."""

    def __init__(self, process: _Process) -> None:
        self._process = process
        self._chunks: asyncio.Queue[Chunk | None] = asyncio.Queue()
        self._stdin_open = True

    async def read(self) -> Chunk | None:
        chunk = await self._chunks.get()
        if chunk is None:
            self._chunks.put_nowait(None)
        return chunk

    async def write(self, data: bytes) -> None:
        if not self._stdin_open or self._process.ended.done():
            raise BrokenPipeError("the process no longer reads its standard input")
        self._process.read_stdin(data)

    def close_stdin(self) -> None:
        if self._stdin_open:
            self._stdin_open = False
            self._process.end_stdin()

    def close(self) -> None:
        self._stdin_open = False
        self._process.streams.discard(self)
        self.give(None)

    def give(self, chunk: Chunk | None) -> None:
        """What the process wrote; None at its end."""
        self._chunks.put_nowait(chunk)


class _Process:
    """The words of one program."""

    def __init__(
        self, pid: int, argv: tuple[str, ...], log: Path | None, now: Callable[[], datetime]
    ) -> None:
        self.pid = pid
        self.argv = argv
        self._log = log
        self.streams: set[FakeStream] = set()
        self.ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._now = now

    def begin(self) -> None:
        word = self.argv[0]
        if word == "exit":
            self.end(int(self.argv[1]))
        elif word == "say":
            self.write(" ".join(self.argv[1:]).encode() + b"\n")

    def write(self, data: bytes) -> None:
        if self._log is not None:
            stamp = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000+00:00")
            with self._log.open("ab") as log:
                for line in data.splitlines():
                    log.write(f"{stamp} stdout F ".encode() + line + b"\n")
        for stream in self.streams:
            stream.give(Chunk(stream=STDOUT, data=data))

    def read_stdin(self, data: bytes) -> None:
        if self.argv[0] == "cat":
            self.write(data)

    def end_stdin(self) -> None:
        if self.argv[0] == "cat":
            self.end(0)

    def signal(self, signum: int) -> None:
        if signum not in _IGNORED_SIGNALS:
            self.end(128 + signum)

    def end(self, code: int, *, oom_killed: bool = False, lost: bool = False) -> None:
        if self.ended.done():
            return
        self.ended.set_result(
            Exit(code=code, finished_at=self._now(), oom_killed=oom_killed, lost=lost)
        )
        for stream in self.streams:
            stream.give(None)


class FakeExec:
    """A fake `door.Exec`."""

    def __init__(self, process: _Process, stream: FakeStream | None) -> None:
        self._process = process
        self.pid = process.pid
        self.stream: Stream | None = stream
        self.size: tuple[int, int] | None = None

    async def wait(self) -> Exit:
        return await asyncio.shield(self._process.ended)

    async def resize(self, rows: int, cols: int) -> None:
        self.size = (rows, cols)

    async def kill(self, signum: int) -> None:
        self._process.signal(signum)


class _Container:
    def __init__(self, bundle: Bundle, io: Io, process: _Process) -> None:
        self.bundle = bundle
        self.io = io
        self.process = process
        self.started = False
        self.paused = False
        self.size: tuple[int, int] | None = bundle.console_size
        self.resources = bundle.resources
        self.execs: list[_Process] = []


class FakeRuntime:
    """`door.Runtime` without a kernel. `fail_next` makes the next call of a method raise."""

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now
        self._containers: dict[str, _Container] = {}
        self._failures: dict[str, Exception] = {}
        self._last_pid = 1000

    # --- what tests do to it ------------------------------------------------------------------

    def fail_next(self, method: str, error: Exception) -> None:
        """The next call of `method` ("create", "start", …) raises `error` and does nothing."""
        self._failures[method] = error

    def end(self, container_id: str, code: int, *, oom_killed: bool = False) -> None:
        """The container's program ends by itself."""
        self._require(container_id).process.end(code, oom_killed=oom_killed)

    def lose(self, container_id: str) -> None:
        """conmon is killed: nobody knows how the program ended."""
        self._require(container_id).process.end(255, lost=True)

    def say(self, container_id: str, data: bytes) -> None:
        """The container's program writes to stdout."""
        self._require(container_id).process.write(data)

    def bundle(self, container_id: str) -> Bundle:
        """What the container was created from."""
        return self._require(container_id).bundle

    # --- the door -----------------------------------------------------------------------------

    async def probe(self) -> None:
        self._maybe_fail("probe")

    async def create(self, bundle: Bundle, io: Io) -> Created:
        self._maybe_fail("create")
        if bundle.id in self._containers:
            raise Conflict(f"container {bundle.id} already has a process here")
        _check_program(bundle.argv, "create")
        container = _Container(bundle, io, self._process(bundle.argv, io.log_path))
        self._containers[bundle.id] = container
        return Created(pid=container.process.pid, conmon_pid=self._new_pid())

    async def start(self, container_id: str) -> None:
        self._maybe_fail("start")
        container = self._require(container_id)
        if container.started:
            raise NotModified(f"container {container_id} is already started")
        if container.process.ended.done():
            raise Conflict(f"container {container_id} ended before it was started")
        container.started = True
        container.process.begin()

    async def signal(self, container_id: str, signum: int, *, everyone: bool = False) -> None:
        self._maybe_fail("signal")
        container = self._living(container_id)
        container.process.signal(signum)
        if everyone or container.process.ended.done():
            for process in container.execs:
                process.signal(signals.SIGKILL)

    async def pause(self, container_id: str) -> None:
        self._living(container_id).paused = True

    async def resume(self, container_id: str) -> None:
        self._living(container_id).paused = False

    async def wait(self, container_id: str) -> Exit:
        return await asyncio.shield(self._require(container_id).process.ended)

    async def delete(self, container_id: str, *, force: bool = False) -> None:
        self._maybe_fail("delete")
        container = self._containers.get(container_id)
        if container is not None and not container.process.ended.done() and not force:
            raise Conflict(
                f"container {container_id} is running: stop it before removal, or force it"
            )
        await self.repair(container_id)

    async def attach(self, container_id: str) -> Stream:
        container = self._living(container_id)
        stream = FakeStream(container.process)
        container.process.streams.add(stream)
        return stream

    async def resize(self, container_id: str, rows: int, cols: int) -> None:
        if container_id in self._containers:
            self._containers[container_id].size = (rows, cols)

    async def exec(self, container_id: str, spec: ExecSpec) -> Exec:
        self._maybe_fail("exec")
        container = self._living(container_id)
        if not container.started:
            raise Conflict(f"container {container_id} is not running")
        _check_program(spec.argv, "exec")
        process = self._process(spec.argv, None)
        stream = FakeStream(process) if spec.attach else None
        if stream is not None:
            process.streams.add(stream)
        container.execs.append(process)
        process.begin()
        return FakeExec(process, stream)

    async def reopen_log(self, container_id: str) -> None:
        self._require(container_id)

    async def find(self, container_id: str) -> ProcessState:
        container = self._containers.get(container_id)
        if container is None:
            return ProcessState(id=container_id, state="absent")
        if container.process.ended.done():
            return ProcessState(
                id=container_id, state="exited", exit=container.process.ended.result()
            )
        return ProcessState(
            id=container_id,
            state="running" if container.started else "created",
            pid=container.process.pid,
            conmon_pid=container.process.pid + 1,
            paused=container.paused,
        )

    async def discover(self) -> list[ProcessState]:
        return [await self.find(container_id) for container_id in sorted(self._containers)]

    async def repair(self, container_id: str) -> None:
        container = self._containers.pop(container_id, None)
        if container is not None:
            for process in (container.process, *container.execs):
                process.end(128 + signals.SIGKILL)

    async def stats(self, container_id: str) -> Stats:
        container = self._living(container_id)
        memory = MemoryStats(usage_bytes=1 << 20, limit_bytes=container.resources.memory_bytes)
        return Stats(memory=memory, pids=1, pids_limit=container.resources.pids_limit)

    async def processes(self, container_id: str) -> list[int]:
        container = self._require(container_id)
        everyone = [container.process, *container.execs]
        return [process.pid for process in everyone if not process.ended.done()]

    async def update(self, container_id: str, resources: Limits) -> None:
        self._maybe_fail("update")
        self._living(container_id).resources = resources

    async def close(self) -> None:
        return

    # --- inside -------------------------------------------------------------------------------

    def _maybe_fail(self, method: str) -> None:
        error = self._failures.pop(method, None)
        if error is not None:
            raise error

    def _require(self, container_id: str) -> _Container:
        try:
            return self._containers[container_id]
        except KeyError:
            raise NotFound(f"No such container process: {container_id}") from None

    def _living(self, container_id: str) -> _Container:
        container = self._require(container_id)
        if container.process.ended.done():
            raise Conflict(f"Container {container_id} is not running")
        return container

    def _process(self, argv: tuple[str, ...], log: Path | None) -> _Process:
        return _Process(self._new_pid(), argv, log, self._now)

    def _new_pid(self) -> int:
        self._last_pid += 1
        return self._last_pid


def _check_program(argv: tuple[str, ...], verb: str) -> None:
    if argv[0].endswith("nope"):
        raise CannotRun(
            f"OCI runtime {verb} failed: unable to start container process: "
            f'exec: "{argv[0]}": executable file not found in $PATH',
            exit_code=127,
        )
