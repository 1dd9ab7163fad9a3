"""Answers that are written while they are made, in docker's forms: JSON lines, progress, frames."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from typing import Any

from skep.api.request import Request
from skep.api.versions import ApiVersion
from skep.http.streams import begin, closing
from skep.http.web import StreamResponse
from skep.kit.errors import SkepError
from skep.model.base import encode_json

STDOUT = 1
STDERR = 2
SYSTEM_ERROR = 3
"""The frame kind that docker's client shows as "error from daemon in stream"."""

RAW_STREAM = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"

_FRAME_HEADER = struct.Struct(">BxxxL")


def frame(stream: int, data: bytes) -> bytes:
    """Docker's `stdcopy` framing: which stream, four bytes of length, the bytes."""
    return _FRAME_HEADER.pack(stream, len(data)) + data


def stream_type(version: ApiVersion, terminal: bool) -> str:
    """The content type of a process's output: clients before 1.42 know only one."""
    return RAW_STREAM if terminal or version < (1, 42) else MULTIPLEXED_STREAM


async def json_lines(request: Request, items: AsyncIterator[Any]) -> StreamResponse:
    """One JSON value a line, the headers at once: for streams that may long be silent."""
    async with closing(items) as source:
        answer = await begin(request, "application/json")
        async for item in source:
            await answer.write(encode_json(item) + b"\n")
    return answer


async def progress(request: Request, items: AsyncIterator[Any]) -> StreamResponse:
    """JSON lines of a work that may fail: before its first line with an HTTP status, after it with
    a line that says so, as docker's clients expect."""
    async with closing(items) as source:
        first = await anext(source, None)
        answer = await begin(request, "application/json")
        try:
            if first is not None:
                await answer.write(encode_json(first) + b"\r\n")
            async for item in source:
                await answer.write(encode_json(item) + b"\r\n")
        except SkepError as error:
            await answer.write(_error_line(str(error)))
    return answer


def _error_line(message: str) -> bytes:
    return encode_json({"errorDetail": {"message": message}, "error": message}) + b"\r\n"


async def frames(
    request: Request, pieces: AsyncIterator[tuple[int, bytes]], terminal: bool
) -> StreamResponse:
    """Output of processes: framed, or plain when it came from a terminal.

    A SkepError from `pieces` is told within the stream: its headers are long gone.
    """
    async with closing(pieces) as source:
        answer = await begin(request, stream_type(request.version, terminal))
        try:
            async for stream, data in source:
                await answer.write(data if terminal else frame(stream, data))
        except SkepError as error:
            text = f"Error grabbing logs: {error}\n".encode()
            await answer.write(text if terminal else frame(SYSTEM_ERROR, text))
    return answer
