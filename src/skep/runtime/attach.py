"""An attached client's line: conmon's SOCK_SEQPACKET socket as a `Stream`.

conmon sends packets whose first byte says the stream; a packet from us is stdin. conmon gives what
it logs to every client, and waits for the slowest: a client that is attached and does not read
holds up the log and, once the pipes are full, the program. So read on, or close.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from skep.kit.errors import Conflict
from skep.runtime.door import STDERR, STDOUT, Chunk

_STREAMS = {2: STDOUT, 3: STDERR}
_PACKET_BYTES = 32 * 1024 + 1
_STDIN_PIECE_BYTES = 8 * 1024
"""conmon reads packets into a fixed buffer and would drop what does not fit."""


class AttachStream:
    """A `door.Stream`; one task reads, one writes."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._reading = False
        self._closed = False

    async def read(self) -> Chunk | None:
        self._reading = True
        try:
            return await self._next_chunk()
        finally:
            self._reading = False
            if self._closed:
                self._line.close()

    async def _next_chunk(self) -> Chunk | None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                packet = await loop.sock_recv(self._line, _PACKET_BYTES)
            except OSError:
                return None
            if not packet:
                return None
            if packet[0] in _STREAMS and len(packet) > 1:
                return Chunk(stream=_STREAMS[packet[0]], data=packet[1:])

    async def write(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        view = memoryview(data)
        for start in range(0, len(view), _STDIN_PIECE_BYTES):
            try:
                await loop.sock_sendall(self._line, view[start : start + _STDIN_PIECE_BYTES])
            except OSError:
                raise BrokenPipeError("the process no longer reads its standard input") from None

    def close_stdin(self) -> None:
        try:
            self._line.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def close(self) -> None:
        """A read that waits sees the end, and closes the descriptor on its way out."""
        self._closed = True
        try:
            self._line.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was first
        if not self._reading:
            self._line.close()


async def connect(folder: Path) -> AttachStream:
    """Attach at `<folder>/attach`. Raises Conflict when no conmon listens there.

    Through the folder's descriptor, because a socket's path may have 107 bytes only.
    """
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            line.connect(f"/proc/self/fd/{descriptor}/attach")
        finally:
            os.close(descriptor)
    except OSError:
        line.close()
        raise Conflict("cannot attach: the container is not running") from None
    return AttachStream(line)
