"""Questions that are not ours, asked elsewhere."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

from skep.network import dns, netns
from skep.network.files import nameservers

_SERVERS = 3
_TIMEOUT_S = 4.0
_IN_FLIGHT = 1024
_PORT = 53
_LARGEST_UDP = 65535
_LENGTH = struct.Struct("!H")

Ask = Callable[[socket.socket, bytes], Awaitable[bytes]]


class Forwarder:
    """Asks other name servers for sandboxes: at most three, 4 s each, 1,024 questions at once
    (docker's numbers). `home` is the host's namespace, `resolv_conf` the host's file."""

    def __init__(self, home: int, resolv_conf: Path) -> None:
        self._home = home
        self._resolv_conf = resolv_conf
        self._read_at: tuple[int, int] | None = None
        self._host_servers: tuple[str, ...] = ()
        self._asking = 0

    async def ask(
        self, query: bytes, servers: tuple[str, ...], sandbox: Path, *, tcp: bool
    ) -> bytes | None:
        """The first good answer, with the id of `query`; None when there is none.

        servers   asked from within `sandbox`; none: those of the host, asked from the host.
        """
        if self._asking >= _IN_FLIGHT:
            return None
        self._asking += 1
        try:
            return await self._ask_each(query, servers, sandbox, tcp)
        finally:
            self._asking -= 1

    async def _ask_each(
        self, query: bytes, servers: tuple[str, ...], sandbox: Path, tcp: bool
    ) -> bytes | None:
        place = sandbox if servers else None
        last = None
        for server in (servers or self._servers_of_host())[:_SERVERS]:
            ours = dns.with_id(query, random.getrandbits(16))
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    reply = await self._ask_one(server, ours, place, tcp)
            except (OSError, EOFError):  # TimeoutError is an OSError
                continue
            last = dns.with_id(reply, _LENGTH.unpack_from(query)[0])
            if dns.response_code(reply) != dns.SERVER_FAILURE:
                return last
        return last

    async def _ask_one(self, server: str, query: bytes, place: Path | None, tcp: bool) -> bytes:
        loop = asyncio.get_running_loop()
        with self._socket(server, place, tcp) as asking:
            await loop.sock_connect(asking, (server, _PORT))
            ask: Ask = _by_tcp if tcp else _by_udp
            return await ask(asking, query)

    def _socket(self, server: str, place: Path | None, tcp: bool) -> socket.socket:
        """A new one for each question: answers must come to a port that nobody can guess."""
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
        fd = self._home if place is None else netns.open_at(place)
        try:
            with netns.inside(fd):
                return socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        finally:
            if fd != self._home:
                os.close(fd)

    def _servers_of_host(self) -> tuple[str, ...]:
        """From the host's file, read again when it was changed; it may have none."""
        try:
            status = self._resolv_conf.stat()
            changed = (status.st_mtime_ns, status.st_ino)
            if changed != self._read_at:
                self._host_servers = nameservers(self._resolv_conf.read_text(errors="replace"))
                self._read_at = changed
        except OSError:
            self._host_servers, self._read_at = (), None
        return self._host_servers


async def _by_udp(asking: socket.socket, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(asking, query)
    while True:
        reply = await loop.sock_recv(asking, _LARGEST_UDP)
        if dns.answers_to(reply, query):
            return reply


async def _by_tcp(asking: socket.socket, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(asking, _LENGTH.pack(len(query)) + query)
    (length,) = _LENGTH.unpack(await _exactly(asking, _LENGTH.size))
    reply = await _exactly(asking, length)
    if not dns.answers_to(reply, query):
        raise EOFError
    return reply


async def _exactly(asking: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < count:
        more = await loop.sock_recv(asking, count - len(data))
        if not more:
            raise EOFError
        data += more
    return data
