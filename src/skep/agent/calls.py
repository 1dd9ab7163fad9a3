"""What a manager may ask of this node's engine: a row for each type of request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from functools import partial

from skep.agent.worker import Worker
from skep.protocol.calls import Answer, Stream
from skep.protocol.log_frames import packed
from skep.protocol.messages import CHUNK_BYTES, LogFrame, ReadLogs

_READ_AHEAD = 256


def answers(worker: Worker) -> Mapping[type, Answer]:
    return {ReadLogs: partial(_read_logs, worker)}


async def _read_logs(worker: Worker, request: ReadLogs, stream: Stream) -> None:
    async with aclosing(_gathered(worker.logs(request))) as handfuls:
        async for frames in handfuls:
            await stream.send(packed(frames))


async def _gathered(lines: AsyncIterator[LogFrame]) -> AsyncGenerator[list[LogFrame], None]:
    """Lines that are there together go together; the queue bounds what is read ahead."""
    queue: asyncio.Queue[LogFrame | None] = asyncio.Queue(_READ_AHEAD)
    pump = asyncio.create_task(_pump(lines, queue))
    try:
        ended = False
        while not ended:
            frames, ended = await _handful(queue)
            yield frames
        await pump
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


async def _pump(lines: AsyncIterator[LogFrame], queue: asyncio.Queue[LogFrame | None]) -> None:
    """Lines, then None. A cancelled pump has no reader left to tell."""
    try:
        async for frame in lines:
            await queue.put(frame)
    except Exception:
        await queue.put(None)
        raise
    await queue.put(None)


async def _handful(queue: asyncio.Queue[LogFrame | None]) -> tuple[list[LogFrame], bool]:
    """What is there, at least one line unless there are no more, about a chunk at most; and whether
    those were the last."""
    frames: list[LogFrame] = []
    size = 0
    frame = await queue.get()
    while frame is not None:
        frames.append(frame)
        size += len(frame.line)
        if size >= CHUNK_BYTES or queue.empty():
            return frames, False
        frame = queue.get_nowait()
    return frames, True
