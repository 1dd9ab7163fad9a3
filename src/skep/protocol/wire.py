"""Messages as bytes on a stream: a length of four bytes, then tagged msgpack.

The form is the plainest that works (measured beside aiohttp's websockets and grpc: a fifth to a
tenth of their cost for each message). A frame has a bound that depends on who sends it.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio import sslproto
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import msgspec

from skep.kit.errors import SkepError
from skep.kit.patience import patient_with
from skep.protocol.link import LinkClosed, MessageTooLarge, Unsendable
from skep.protocol.messages import Message

_In = TypeVar("_In")
_Out = TypeVar("_Out", bound=Message)

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""A task carries its service's spec, which the API takes up to 8 MiB of JSON long."""
MAX_AGENT_FRAME_BYTES = 1024 * 1024
"""What an agent has to say goes in parts: reports some hundred at a time, logs by the chunk."""
MAX_STRANGER_FRAME_BYTES = 64 * 1024
STALL_S = 20.0
"""An end that takes nothing for so long is hung up on."""

_LENGTH_BYTES = 4
_READ_AHEAD = 64
_READ_AHEAD_BYTES = 1024 * 1024
_WRITE_AHEAD_BYTES = 256 * 1024
_UNANSWERED_MS = 10_000
_MAX_SAID = 200

# A TLS connection of asyncio keeps a read buffer of 256 KiB: 1.5 GB for 5,000 agents. Frames here
# are small, so 16 KiB (one TLS record) is enough. A private detail of CPython, held by a test.
sslproto.SSLProtocol.max_size = 16 * 1024


def encoded(value: object) -> bytes:
    """As msgpack. Raises Unsendable for what msgpack cannot hold, such as larger numbers."""
    try:
        return msgspec.msgpack.encode(value)
    except Exception as error:
        raise Unsendable(f"a {type(value).__name__} cannot be sent: {error}") from error


def pack(message: Message, max_bytes: int = MAX_FRAME_BYTES) -> bytes:
    """One frame. Raises MessageTooLarge, and Unsendable for what no frame can hold."""
    body = encoded(message)
    if len(body) > max_bytes:
        raise MessageTooLarge(
            f"a message of {len(body)} bytes is too large for the line: at most {max_bytes}"
        )
    return framed(body)


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(_LENGTH_BYTES) + body


class BadFrame(LinkClosed):
    """The other end sent what is no message of this protocol."""


class FrameReader:
    """Cuts a stream into frames. Keeps at most one unfinished frame of `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are whole now. Raises BadFrame as soon as a length is too large."""
        if not self._buffer and self._is_one_frame(data):
            return [data[_LENGTH_BYTES:]]  # a heartbeat, as a rule
        self._buffer += data
        frames = []
        start = 0
        while len(self._buffer) - start >= _LENGTH_BYTES:
            body = start + _LENGTH_BYTES
            length = int.from_bytes(self._buffer[start:body])
            if length > self.max_bytes:
                raise BadFrame("it sent a frame that is too large, or no frame at all")
            if len(self._buffer) < body + length:
                break
            frames.append(bytes(self._buffer[body : body + length]))
            start = body + length
        del self._buffer[:start]
        return frames

    def _is_one_frame(self, data: bytes) -> bool:
        length = len(data) - _LENGTH_BYTES
        return 0 <= length <= self.max_bytes and int.from_bytes(data[:_LENGTH_BYTES]) == length


class WireLink(asyncio.Protocol, Generic[_Out, _In]):
    """A `Link` over a stream. Reading stops while nobody takes messages, writing waits while the
    other end does not read."""

    def __init__(
        self,
        incoming: Any,
        max_frame_bytes: int = MAX_FRAME_BYTES,
        max_sent_bytes: int = MAX_FRAME_BYTES,
    ) -> None:
        self._max_sent_bytes = max_sent_bytes
        self._decoder: msgspec.msgpack.Decoder[_In] = msgspec.msgpack.Decoder(incoming)
        self._frames = FrameReader(max_frame_bytes)
        self._unread: deque[bytes] = deque()
        self._unread_bytes = 0
        self._take: Callable[[_In], None] | None = None
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None
        self._end: SkepError | None = None

    @property
    def transport(self) -> asyncio.Transport:
        if self._transport is None:
            raise self._end or LinkClosed()
        return self._transport

    def welcome(self, incoming: Any, max_frame_bytes: int) -> None:
        """From now on, take these messages, up to this size: the other end proved who it is.

        Frames are decoded when they are asked for, so what is already here counts too.
        """
        self._decoder = msgspec.msgpack.Decoder(incoming)
        self._frames.max_bytes = max_frame_bytes

    async def send(self, message: _Out) -> None:
        frame = pack(message, self._max_sent_bytes)
        if not self._writable.is_set():
            await self._until_writable()
        if self._end is not None:
            raise self._end
        self.transport.write(frame)

    async def receive(self) -> _In:
        while not self._unread:
            if self._end is not None:
                raise self._end
            self._arrived.clear()
            await self._arrived.wait()
        frame = self._unread.popleft()
        self._unread_bytes -= len(frame)
        if self._transport is not None and not self._has_enough():
            self._transport.resume_reading()
        try:
            return self._decode(frame)
        except BadFrame as error:
            self._refuse(error)
            raise

    async def each(self, take: Callable[[_In], None]) -> None:
        """Messages are taken as they come in, which costs half as much as a task that waits for
        them: most are heartbeats. Where thousands do so they are taken in handfuls."""
        while self._unread:
            take(await self.receive())
        self._take = take
        line: socket.socket | None = self.transport.get_extra_info("socket")
        if line is None:  # TLS knows of the end, and has yet to tell us
            raise LinkClosed()
        with patient_with(line.fileno()):
            while self._end is None:
                self._arrived.clear()
                await self._arrived.wait()
        raise self._end

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._finish(LinkClosed())

    def abort(self) -> None:
        """Close without waiting for what is still to be written."""
        if self._transport is not None:
            self._transport.abort()
        self._finish(LinkClosed())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_AHEAD_BYTES)
        _notice_silence(self._transport)

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._frames.feed(data)
            if self._take is not None:
                for frame in frames:
                    self._take(self._decode(frame))
                return
        except SkepError as error:
            self._refuse(error)
            return
        self._unread += frames
        self._unread_bytes += sum(map(len, frames))
        self._arrived.set()
        if self._transport is not None and self._has_enough():
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._finish(LinkClosed(f"the line broke: {error}") if error else LinkClosed())

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _decode(self, frame: bytes) -> _In:
        try:
            return self._decoder.decode(frame)
        except Exception as error:  # also that of a text that is no UTF-8, which is not msgspec's
            said = ascii(str(error))[:_MAX_SAID]
            raise BadFrame(f"it sent what is no message of this protocol: {said}") from None

    def _has_enough(self) -> bool:
        return len(self._unread) >= _READ_AHEAD or self._unread_bytes >= _READ_AHEAD_BYTES

    async def _until_writable(self) -> None:
        try:
            async with asyncio.timeout(STALL_S):
                await self._writable.wait()
        except TimeoutError:
            self._refuse(LinkClosed(f"the other end took nothing for {STALL_S:g} s"))

    def _refuse(self, error: SkepError) -> None:
        self._finish(error)
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, end: SkepError) -> None:
        self._end = self._end or end
        self._arrived.set()
        self._writable.set()


def _notice_silence(transport: asyncio.Transport) -> None:
    """Let the kernel end a line whose other end no longer acknowledges what we send (its machine
    is gone, the network is cut): by itself it would try for a quarter of an hour (tcp(7))."""
    line: socket.socket | None = transport.get_extra_info("socket")
    if line is not None and line.family in {socket.AF_INET, socket.AF_INET6}:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED_MS)
