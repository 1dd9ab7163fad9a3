"""Taking over a connection: the HTTP request is answered by hand, then both sides write at will.

The transport is given a protocol of our own. The aiohttp protocol beneath must still hear that the
connection was lost: it then cancels the handler, which is how a client that hangs up ends things.
"""

from __future__ import annotations

import asyncio
import logging
import select
from typing import TYPE_CHECKING

from skep.api.protocol import ApiProtocol
from skep.api.request import Request
from skep.api.streams import RAW_STREAM, STDERR, SYSTEM_ERROR, frame, stream_type
from skep.api.versions import HEADERS
from skep.api.web import BaseRequest, StreamResponse

if TYPE_CHECKING:
    from skep.engine import AttachedStream

log = logging.getLogger(__name__)

ATTACH_PATIENCE_S = 60.0
"""A client that is attached to a container and takes nothing for so long is let go: the container
cannot go on before its output is taken. (Docker's waits for ever.) Buffers have it that a client
which takes less than a KiB a second counts as one that takes nothing."""
_READ_BYTES = 64 * 1024
_HANG_UP_CHECK_S = 2.0


class Connection:
    """A connection that speaks no HTTP any more. Reading is held up while nobody reads."""

    def __init__(self, http: BaseRequest) -> None:
        transport = http.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        self._transport = transport
        self._reader = asyncio.StreamReader(limit=_READ_BYTES)
        protocol = _Taken(self._reader, http)
        self._writer = asyncio.StreamWriter(
            transport, protocol, self._reader, asyncio.get_running_loop()
        )
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if not transport.is_reading():
            transport.resume_reading()
        if isinstance(http.protocol, ApiProtocol):
            http.protocol.hand_over(self._reader)

    async def read(self) -> bytes:
        """What the client sent; empty when it will send no more."""
        return await self._reader.read(_READ_BYTES)

    async def write(self, data: bytes) -> None:
        """Send; waits while the client does not keep up."""
        self._writer.write(data)
        await self._writer.drain()

    def finish(self, last_word: bytes = b"") -> None:
        """Close as soon as everything was sent."""
        self._writer.write(last_word)
        self._writer.close()

    async def hung_up(self) -> None:
        """Ends when the client is gone for good, having said before that it sends no more."""
        sock = self._transport.get_extra_info("socket")
        poll = select.poll()
        poll.register(sock.fileno(), 0)
        while not poll.poll(0):
            await asyncio.sleep(_HANG_UP_CHECK_S)


def is_taken(http: BaseRequest) -> bool:
    """The connection of this request speaks no HTTP any more."""
    transport = http.transport
    return transport is not None and transport.get_protocol() is not http.protocol


class _Taken(asyncio.StreamReaderProtocol):
    """asyncio's own stream protocol, which tells aiohttp's of the end."""

    def __init__(self, reader: asyncio.StreamReader, http: BaseRequest) -> None:
        super().__init__(reader)
        self._before = http.protocol

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(None)  # the reason is for nobody, and would be logged for that
        self._before.connection_lost(exc)


class Taken(StreamResponse):
    """What a handler returns for a connection that is aiohttp's no more: nothing is written."""

    def __init__(self) -> None:
        super().__init__()
        self._keep_alive = False

    async def prepare(self, request: BaseRequest) -> None:
        """Everything was said by hand."""

    async def write_eof(self, data: bytes = b"") -> None:
        """The connection is closed, or about to be."""


async def converse(
    request: Request,
    stream: AttachedStream,
    *,
    stdin: bool,
    terminal: bool,
    patience_s: float | None = None,
) -> StreamResponse:
    """Join a client with a process until the process has no more output or the client is gone.

    Output goes out in frames, or plain from a terminal. The client's half-close ends the process's
    stdin and nothing else. A client that takes nothing for `patience_s` (None: for ever) holds up
    the process no longer, and reads why behind what it was sent already: twice, as docker's client
    shows nobody the error that the protocol has for it.
    """
    path = request.http.path
    try:
        connection = Connection(request.http)
        await connection.write(_head(request, terminal))
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


async def say(request: Request, text: bytes, *, stream: int, terminal: bool) -> StreamResponse:
    """Take the connection over only to say one thing as if the process had said it."""
    connection = Connection(request.http)
    await connection.write(_head(request, terminal))
    await connection.write(text if terminal else frame(stream, text))
    connection.finish()
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
    headers = HEADERS | {"Content-Type": kind}
    if upgrade:
        headers |= {"Connection": "Upgrade", "Upgrade": "tcp"}
    status = "101 UPGRADED" if upgrade else "200 OK"
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()
