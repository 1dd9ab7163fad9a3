"""Taking over a connection: the HTTP request is answered by hand, then both sides write at will.

The transport is given a protocol of our own. The aiohttp protocol beneath must still hear that the
connection was lost: it then cancels the handler, which is how a client that hangs up ends things.
"""

from __future__ import annotations

import asyncio
import select

from skep.http.protocol import HttpProtocol, is_over_tls
from skep.http.web import BaseRequest, StreamResponse

_READ_BYTES = 64 * 1024
_HANG_UP_CHECK_S = 2.0


class Connection:
    """A connection that speaks no HTTP any more. Reading is held up while nobody reads."""

    def __init__(self, http: BaseRequest) -> None:
        transport = http.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        self._transport = transport
        self._over_tls = is_over_tls(transport)
        self._reader = asyncio.StreamReader(limit=_READ_BYTES)
        protocol = _Taken(self._reader, http)
        self._writer = asyncio.StreamWriter(
            transport, protocol, self._reader, asyncio.get_running_loop()
        )
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if not transport.is_reading():
            transport.resume_reading()
        if isinstance(http.protocol, HttpProtocol):
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
        """Ends when the client is gone for good, having said before that it sends no more. (With
        asyncio's TLS that is one thing.)"""
        if self._over_tls:
            return
        sock = self._transport.get_extra_info("socket")
        poll = select.poll()
        poll.register(sock.fileno(), 0)
        while not poll.poll(0):
            await asyncio.sleep(_HANG_UP_CHECK_S)


def is_taken(http: BaseRequest) -> bool:
    """The connection of this request speaks no HTTP any more."""
    return isinstance(http.protocol, HttpProtocol) and http.protocol.handed_over


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
