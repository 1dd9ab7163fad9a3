"""Other programs: started cheaply, watched by pidfd, never by a thread or a signal handler.

asyncio's own child watcher starts a thread for each child (Python 3.11); here the loop watches a
pidfd. Starting is posix_spawn: nothing of this process's memory is copied.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
_OUTPUT_BYTES = 1 << 20
_DYING_S = 5.0

_collecting: set[asyncio.Task[int]] = set()
"""The event loop alone would let go of a task that it runs."""


def spawn(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    keep_fds: Iterable[int] = (),
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> int:
    """Start `argv` (argv[0] is a path) and give its pid; the caller reaps it with `reaped`.

    stdin, stdout and stderr are /dev/null unless a descriptor is given; `keep_fds` stay open in
    the child under their numbers. Raises OSError when it cannot be executed.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        return os.posix_spawn(
            argv[0],
            list(argv),
            env,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, null if stdin is None else stdin, 0),
                (os.POSIX_SPAWN_DUP2, null if stdout is None else stdout, 1),
                (os.POSIX_SPAWN_DUP2, null if stderr is None else stderr, 2),
                # Onto itself: that takes the close-on-exec mark away, in the child only.
                *((os.POSIX_SPAWN_DUP2, descriptor, descriptor) for descriptor in keep_fds),
            ],
            setsigdef=IGNORED_BY_PYTHON,
        )
    finally:
        os.close(null)


async def reaped(pid: int) -> int:
    """Wait for a child of ours and give its exit code; -N when signal N killed it."""
    code = _collected(pid)
    while code is None:
        await ended(pid)
        code = _collected(pid)
    return code


class Child:
    """A program that was started. It runs on after an `async with` block, unless that raises: then
    it is killed. It is collected in any case, whoever waits for it, so that no zombie is left."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        keep_fds: Iterable[int] = (),
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        """As `spawn` has it."""
        self._pid = spawn(argv, env, keep_fds=keep_fds, stdin=stdin, stdout=stdout, stderr=stderr)
        self._code = asyncio.create_task(reaped(self._pid), name="collect-child")
        _collecting.add(self._code)
        self._code.add_done_callback(_collecting.discard)

    async def __aenter__(self) -> Child:
        return self

    async def __aexit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            await self.end()

    async def ended(self) -> int:
        """Its exit code, once there is one; -N when signal N killed it."""
        return await asyncio.shield(self._code)

    async def end(self) -> None:
        """Kill it, unless it has ended. One that the kernel does not let go is left to itself."""
        if self._code.done():  # else the pid is still its own
            return
        os.kill(self._pid, signal.SIGKILL)
        with suppress(TimeoutError):
            async with asyncio.timeout(_DYING_S):
                await asyncio.shield(self._code)


async def ended(pid: int) -> None:
    """Wait until a process, ours or not, has ended; at once when there is none."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await readable(descriptor)
    finally:
        os.close(descriptor)


async def readable(descriptor: int) -> None:
    """Wait until reading `descriptor` would not block (a pidfd: until its process has ended)."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


async def read_until(descriptor: int, end: bytes | None, limit: int = _OUTPUT_BYTES) -> bytes:
    """Read a non-blocking pipe until it gave `end` (None: until it closes) or `limit` bytes."""
    text = b""
    while len(text) < limit and (end is None or not text.endswith(end)):
        try:
            piece = os.read(descriptor, 65536)
        except BlockingIOError:
            await readable(descriptor)
            continue
        if not piece:
            break
        text += piece
    return text


async def read_all(descriptor: int, limit: int) -> bytes:
    """Read a non-blocking pipe until it closes; what comes after `limit` bytes is dropped."""
    text = bytearray()
    while piece := await read_until(descriptor, None, 1):
        text += piece[: limit - len(text)]
    return bytes(text)


async def run(
    argv: Sequence[str], env: Mapping[str, str], timeout_s: float, limit: int = _OUTPUT_BYTES
) -> tuple[int, bytes]:
    """Run a program to its end; its exit code, and what it wrote to stdout and stderr together,
    of which the first `limit` bytes are kept.

    Raises TimeoutError after killing it, OSError when it cannot be executed.
    """
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(ours, False)
    try:
        try:
            child = Child(argv, env, stdout=theirs, stderr=theirs)
        finally:
            os.close(theirs)
        async with child, asyncio.timeout(timeout_s):
            output = await read_all(ours, limit)
            return await child.ended(), output
    finally:
        os.close(ours)


def find_program(name: str, folders: Iterable[str] = ()) -> str | None:
    """The path of a program in PATH or in the system folders that PATH may lack."""
    search = [*os.environ.get("PATH", "").split(":"), *folders, "/usr/sbin", "/usr/bin", "/sbin"]
    candidates = [name] if "/" in name else [f"{folder}/{name}" for folder in search if folder]
    return next((path for path in candidates if os.access(path, os.X_OK)), None)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _collected(pid: int) -> int | None:
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None
