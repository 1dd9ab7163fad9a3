"""A client and a process of a container, joined: docker's answer to a wish to take over."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from skep.api.request import Request
from skep.api.streams import RAW_STREAM, STDERR, SYSTEM_ERROR, frame, stream_type
from skep.http.hijack import Connection, Taken
from skep.http.web import StreamResponse

if TYPE_CHECKING:
    from skep.engine import AttachedStream

log = logging.getLogger(__name__)

ATTACH_PATIENCE_S = 60.0
"""A client that is attached to a container and takes nothing for so long is let go: the container
cannot go on before its output is taken. (Docker's waits for ever.) Buffers have it that a client
which takes less than a KiB a second counts as one that takes nothing."""


async def take_over(request: Request, terminal: bool) -> Connection:
    """The client's connection, on which docker's answer to the wish was sent."""
    connection = Connection(request.http)
    await connection.write(_head(request, terminal))
    return connection


async def converse(
    request: Request,
    stream: AttachedStream,
    *,
    stdin: bool,
    terminal: bool,
    patience_s: float | None = None,
    connection: Connection | None = None,
) -> StreamResponse:
    """Join a client with a process until the process has no more output or the client is gone.

    Output goes out in frames, or plain from a terminal. The client's half-close ends the process's
    stdin and nothing else. A client that takes nothing for `patience_s` (None: for ever) holds up
    the process no longer, and reads why behind what it was sent already: twice, as docker's client
    shows nobody the error that the protocol has for it.
    """
    path = request.http.path
    try:
        if connection is None:
            connection = await take_over(request, terminal)
        listener = asyncio.create_task(_listen(connection, stream, stdin))
        try:
            while chunk := await stream.read():
                data = chunk.data
                async with asyncio.timeout(patience_s):
                    await connection.write(data if terminal else frame(chunk.stream, data))
            connection.finish()
        except TimeoutError:
            log.warning("%s: let go of a client that took nothing for %g s", path, patience_s)
            text = b"skep: output was cut here: nothing was read for %g s\r\n" % (patience_s or 0)
            connection.finish(text if terminal else frame(STDERR, text) + frame(SYSTEM_ERROR, text))
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
    finally:
        stream.close()
    return Taken()


def say(connection: Connection, text: bytes, *, stream: int, terminal: bool) -> StreamResponse:
    """Only one thing, as if the process had said it."""
    connection.finish(text if terminal else frame(stream, text))
    return Taken()


async def _listen(connection: Connection, stream: AttachedStream, stdin: bool) -> None:
    while data := await connection.read():
        if stdin:
            await stream.write(data)
    if stdin:
        stream.close_stdin()
    await connection.hung_up()
    stream.close()


def _head(request: Request, terminal: bool) -> bytes:
    upgrade = "Upgrade" in request.http.headers
    kind = stream_type(request.version, terminal) if upgrade else RAW_STREAM
    headers = {**request.answer_headers, "Content-Type": kind}
    if upgrade:
        headers |= {"Connection": "Upgrade", "Upgrade": "tcp"}
    status = "101 UPGRADED" if upgrade else "200 OK"
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()
