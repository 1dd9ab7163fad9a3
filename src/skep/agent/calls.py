"""Answers the manager's calls to this node's engine, no faster than the manager takes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from skep.kit.errors import SkepError
from skep.protocol.messages import Call, Cancel, Chunk, Credit, Done, LogFrame, ReadLogs

_MAX_CALLS = 256
_FRAMES = 64
_READ_AHEAD = 256

Send = Callable[[Chunk | Done], Awaitable[None]]


class Calls:
    """The calls of one session. `close` when it ends."""

    def __init__(self, logs: Callable[[ReadLogs], AsyncIterator[LogFrame]], send: Send) -> None:
        self._logs = logs
        self._send = send
        self._credit: dict[int, asyncio.Semaphore] = {}
        self._running: dict[int, asyncio.Task[None]] = {}

    async def take(self, message: Call | Credit | Cancel) -> None:
        match message:
            case Call():
                await self._open(message)
            case Credit():
                if credit := self._credit.get(message.call_id):
                    for _ in range(message.chunks):
                        credit.release()
            case Cancel():
                if running := self._running.get(message.call_id):
                    running.cancel()

    async def close(self) -> None:
        running = list(self._running.values())
        for call in running:
            call.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _open(self, call: Call) -> None:
        if len(self._running) >= _MAX_CALLS:
            await self._send(Done(call.call_id, f"more than {_MAX_CALLS} calls are open here"))
            return
        self._credit[call.call_id] = asyncio.Semaphore(0)
        answering = asyncio.create_task(self._answer(call), name=f"call {call.call_id}")
        self._running[call.call_id] = answering

    async def _answer(self, call: Call) -> None:
        error = ""
        try:
            await self._stream(call)
        except SkepError as problem:
            error = str(problem)
        finally:
            del self._credit[call.call_id], self._running[call.call_id]
        await self._send(Done(call.call_id, error))

    async def _stream(self, call: Call) -> None:
        """Lines that are there together go together; the queue bounds what is read ahead."""
        queue: asyncio.Queue[LogFrame | None] = asyncio.Queue(_READ_AHEAD)
        pump = asyncio.create_task(self._pump(call, queue))
        try:
            ended = False
            while not ended:
                batch = [await queue.get()]
                while len(batch) < _FRAMES and not queue.empty():
                    batch.append(queue.get_nowait())
                ended = batch[-1] is None
                if frames := [frame for frame in batch if frame is not None]:
                    await self._flush(call.call_id, frames)
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

    async def _flush(self, call_id: int, frames: list[LogFrame]) -> None:
        await self._credit[call_id].acquire()
        await self._send(Chunk(call_id, frames))
