"""Questions that are not ours, asked elsewhere.

Each sandbox has sockets of its own, a few for each server, that its questions share while they wait
for answers. So a sandbox whose servers are silent takes nothing from others, and how many files we
have open does not depend on how many questions are asked. A socket is closed when nobody waits at
it: who asks now and then asks from another port each time, which nobody can guess.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import random
import socket
import struct
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from skep.kit.share import Share, part_of_files
from skep.network import dns, netns
from skep.network.files import nameservers

_SERVERS = 3
_TIMEOUT_S = 4.0
_SOCKETS = 1024
_SOCKETS_EACH = 4
_REPLIES_PER_TURN = 32
_PORT = 53
_LARGEST_UDP = 65535
_LENGTH = struct.Struct("!H")

_Address = tuple[str, int] | tuple[str, int, int, int]


class Forwarder:
    """Where questions go in the end. `home` is the host's namespace, `resolv_conf` the host's file.

    At most three servers are asked, 4 s each (docker's numbers).
    """

    def __init__(self, home: int, resolv_conf: Path) -> None:
        self.home = home
        self.sockets = Share(part_of_files(8, _SOCKETS), _SOCKETS_EACH)
        self._resolv_conf = resolv_conf
        self._read_at: tuple[int, int] | None = None
        self._host_servers: tuple[str, ...] = ()

    def servers_of_host(self) -> tuple[str, ...]:
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


class Asker:
    """Asks for one sandbox, which is bound at `sandbox`."""

    def __init__(self, forwarder: Forwarder, sandbox: Path) -> None:
        self._forwarder = forwarder
        self._sandbox = sandbox
        self._lines: defaultdict[tuple[str, Path | None], list[_Line]] = defaultdict(list)
        self._tcp = asyncio.Semaphore(_SOCKETS_EACH)

    async def ask(self, query: bytes, servers: tuple[str, ...], *, tcp: bool) -> bytes | None:
        """The first good answer, with the id of `query`; None when there is none.

        servers   asked from within the sandbox; none: those of the host, asked from the host.
        """
        place = self._sandbox if servers else None
        ask = self._by_tcp if tcp else self._by_udp
        last = None
        for server in (servers or self._forwarder.servers_of_host())[:_SERVERS]:
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    reply = await ask(server, place, query)
            except (OSError, EOFError):  # TimeoutError is an OSError
                continue
            last = dns.with_id(reply, _LENGTH.unpack_from(query)[0])
            if dns.response_code(reply) != dns.SERVER_FAILURE:
                return last
        return last

    async def _by_udp(self, server: str, place: Path | None, query: bytes) -> bytes:
        return await self._line(server, place).ask(query)

    def _line(self, server: str, place: Path | None) -> _Line:
        """A new one, or the one at which the fewest wait."""
        lines = self._lines[server, place]
        sockets = self._forwarder.sockets
        if not sockets.allows(len(lines)):
            return min(lines, key=len)

        def closed() -> None:
            sockets.taken -= 1
            lines.remove(line)

        line = _Line(self._socket(server, place, socket.SOCK_DGRAM), closed)
        sockets.taken += 1
        lines.append(line)
        return line

    async def _by_tcp(self, server: str, place: Path | None, query: bytes) -> bytes:
        async with self._tcp:
            with self._socket(server, place, socket.SOCK_STREAM) as asking:
                return await _exchange(asking, dns.with_id(query, random.getrandbits(16)))

    def _socket(self, server: str, place: Path | None, kind: socket.SocketKind) -> socket.socket:
        """One that is connected, or about to be: the kernel takes answers from this server only."""
        address = _destination(server)
        family = socket.AF_INET if len(address) == 2 else socket.AF_INET6
        fd = self._forwarder.home if place is None else netns.open_at(place)
        try:
            with netns.inside(fd):
                asking = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        finally:
            if fd != self._forwarder.home:
                os.close(fd)
        try:
            with contextlib.suppress(BlockingIOError):  # TCP takes a while
                asking.connect(address)
        except BaseException:
            asking.close()
            raise
        return asking


def _destination(server: str) -> _Address:
    """Where to send to. Raises OSError for what is no address: names are looked up nowhere here."""
    text, _, scope = server.partition("%")
    try:
        version = ipaddress.ip_address(text).version
    except ValueError:
        raise OSError(f"{server} is no address of a server") from None
    if version == 4:
        return (text, _PORT)
    return (text, _PORT, 0, socket.if_nametoindex(scope) if scope else 0)


class _Line:
    """A connected UDP socket, and the questions that wait at it by the ids that they were given.

    `closed` is called when the last of them has its answer or waits no longer.
    """

    def __init__(self, asking: socket.socket, closed: Callable[[], None]) -> None:
        self._socket = asking
        self._closed = closed
        self._waiting: dict[int, tuple[bytes, asyncio.Future[bytes]]] = {}
        asyncio.get_running_loop().add_reader(asking, self._hear)

    def __len__(self) -> int:
        return len(self._waiting)

    async def ask(self, query: bytes) -> bytes:
        id_ = self._free_id()
        query = dns.with_id(query, id_)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[id_] = (query, answer)
        try:
            self._socket.send(query)
            return await answer
        finally:
            del self._waiting[id_]
            if not self._waiting:
                self._close()

    def _free_id(self) -> int:
        while (id_ := random.getrandbits(16)) in self._waiting:
            pass
        return id_

    def _hear(self) -> None:
        for _ in range(_REPLIES_PER_TURN):
            try:
                reply = self._socket.recv(_LARGEST_UDP)
            except BlockingIOError:
                return
            except OSError as error:  # the server refuses
                for _, answer in self._waiting.values():
                    if not answer.done():
                        answer.set_exception(error)
                return
            if (asked := self._waiting.get(dns.id_of(reply))) is None:
                continue
            query, answer = asked
            if dns.answers_to(reply, query) and not answer.done():
                answer.set_result(reply)

    def _close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._closed()


async def _exchange(asking: socket.socket, query: bytes) -> bytes:
    """By TCP; raises EOFError when the server hangs up or answers something else."""
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
