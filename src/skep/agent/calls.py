"""Answers the manager's calls to this node's engine, no faster than the manager takes them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from skep.kit.errors import SkepError
from skep.kit.jobs import Jobs
from skep.protocol.link import LinkClosed
from skep.protocol.messages import (
    LONGEST_ERROR,
    Call,
    Cancel,
    Chunk,
    Credit,
    Done,
    LogFrame,
    ReadLogs,
)

log = logging.getLogger(__name__)

_MAX_CALLS = 256
_FRAMES = 64
_CHUNK_BYTES = 512 * 1024
_READ_AHEAD = 256

Send = Callable[[Chunk | Done], Awaitable[None]]


class _Running:
    """One call: what answers it, and how many chunks the manager takes yet."""

    def __init__(self) -> None:
        self.credit = asyncio.Semaphore(0)
        self.job: asyncio.Task[None] | None = None


class Calls:
    """The calls of one session. `close` when it ends."""

    def __init__(self, logs: Callable[[ReadLogs], AsyncIterator[LogFrame]], send: Send) -> None:
        self._logs = logs
        self._send = send
        self._jobs = Jobs()
        self._running: dict[int, _Running] = {}

    async def take(self, message: Call | Credit | Cancel) -> None:
        if isinstance(message, Call):
            await self._open(message)
        elif running := self._running.get(message.call_id):
            if isinstance(message, Credit):
                for _ in range(message.chunks):
                    running.credit.release()
            elif running.job is not None:
                running.job.cancel()

    async def close(self) -> None:
        await self._jobs.close()

    async def _open(self, call: Call) -> None:
        if call.call_id in self._running:
            raise LinkClosed(f"the manager makes call {call.call_id} twice")
        if len(self._running) >= _MAX_CALLS:
            await self._send(Done(call.call_id, f"more than {_MAX_CALLS} calls are open here"))
            return
        self._running[call.call_id] = running = _Running()
        running.job = self._jobs.start(self._answer(call, running), f"call {call.call_id}")

    async def _answer(self, call: Call, running: _Running) -> None:
        error = ""
        try:
            await self._stream(call, running.credit)
        except LinkClosed:
            return  # nobody listens any more
        except SkepError as problem:
            error = str(problem)
        except Exception as problem:
            log.exception("a call of the manager failed: %s", call.request)
            error = f"internal error: {problem}"
        finally:
            del self._running[call.call_id]
        try:
            await self._send(Done(call.call_id, error[:LONGEST_ERROR]))
        except LinkClosed:
            pass

    async def _stream(self, call: Call, credit: asyncio.Semaphore) -> None:
        """Lines that are there together go together; the queue bounds what is read ahead."""
        queue: asyncio.Queue[LogFrame | None] = asyncio.Queue(_READ_AHEAD)
        pump = asyncio.create_task(self._pump(call, queue))
        try:
            ended = False
            while not ended:
                frames, ended = await _gather(queue)
                if frames:
                    await credit.acquire()
                    await self._send(Chunk(call.call_id, frames))
            await pump
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    async def _pump(self, call: Call, queue: asyncio.Queue[LogFrame | None]) -> None:
        """Lines, then None. A cancelled pump has no reader left to tell."""
        try:
            async for frame in self._logs(call.request):
                await queue.put(frame)
        except Exception:
            await queue.put(None)
            raise
        await queue.put(None)


async def _gather(queue: asyncio.Queue[LogFrame | None]) -> tuple[list[LogFrame], bool]:
    """A chunk of what is there, at least one line, and whether those were the last."""
    frames: list[LogFrame] = []
    size = 0
    frame = await queue.get()
    while frame is not None:
        frames.append(frame)
        size += len(frame.line)
        if len(frames) == _FRAMES or size >= _CHUNK_BYTES or queue.empty():
            return frames, False
        frame = queue.get_nowait()
    return frames, True
