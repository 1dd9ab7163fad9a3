"""The DNS server at 127.0.0.11:53 of each sandbox: own names at once, others from upstream.

One server for the whole host; each sandbox has two sockets of it, opened inside its namespace
(`translation.py`). Who asks is known by the socket, and sees the names of its networks only.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import random
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skep.kit.share import Allowance, Share, part_of_files
from skep.network import dns
from skep.network.translation import ResolverSockets
from skep.network.upstream import Asker, Forwarder
from skep.network.zones import Zones

_log = logging.getLogger(__name__)

TTL_S = 5
"""Docker says 600, and programs that believe it keep talking to addresses of tasks long gone.
Asking is cheap here (it never leaves the host), so answers may be forgotten soon."""

_LENGTH = struct.Struct("!H")
_LARGEST_UDP = 4096
_DATAGRAMS_PER_TURN = 32
_TCP_CONNECTIONS = 1024
_TCP_CONNECTIONS_EACH = 64
_TCP_IDLE_S = 10.0
_WAITING_EACH = 256
_QUESTIONS_PER_S = 4_000
_QUESTIONS_AT_ONCE = 8_000
"""Of one sandbox: a tenth of a processor, which its own limit does not count. What comes faster
waits in its sockets, and is lost when these are full."""
_PAUSE_S = 0.01
_COMPLAINT_S = 60.0


@dataclass(frozen=True, slots=True)
class Client:
    """What one sandbox may know.

    networks    ids, in the order in which they are asked for a name.
    links       names of its own: name -> addresses.
    upstreams   servers of its own; none: the host's.
    forwards    False: all its networks are internal, and so are its questions.
    """

    networks: tuple[str, ...]
    links: Mapping[str, tuple[str, ...]]
    upstreams: tuple[str, ...]
    forwards: bool


def resolve(
    zones: Zones, client: Client, question: dns.Question, chance: random.Random
) -> tuple[list[bytes], int] | None:
    """Records and response code; None: ask upstream. `chance` orders the addresses of one name."""
    if question.type == dns.TYPE_PTR:
        address = dns.reverse_address(question.name)
        name = zones.name_of(client.networks, address) if address else None
        if name is not None:
            return [dns.pointer_record(name, TTL_S)], dns.NO_ERROR
    else:
        packed = _addresses(zones, client, question.name)
        if packed is not None:
            return _address_records(packed, question.type, chance), dns.NO_ERROR
    return None if client.forwards else ([], dns.NAME_ERROR)


def _addresses(zones: Zones, client: Client, name: str) -> tuple[bytes, ...] | None:
    if (linked := client.links.get(name)) is not None:
        return tuple(ipaddress.ip_address(each).packed for each in linked)
    return zones.addresses(client.networks, name)


def _address_records(packed: tuple[bytes, ...], kind: int, chance: random.Random) -> list[bytes]:
    """Of the asked kind; none for a name that exists but has no such record."""
    length = {dns.TYPE_A: 4, dns.TYPE_AAAA: 16}.get(kind)
    records = [dns.address_record(each, TTL_S) for each in packed if len(each) == length]
    chance.shuffle(records)
    return records


@dataclass(slots=True)
class _Open:
    """A sandbox that is answered."""

    client: Client
    asker: Asker
    udp: socket.socket
    server: asyncio.Server
    waiting: set[asyncio.Task[None]] = field(default_factory=set)
    connections: set[asyncio.Task[None]] = field(default_factory=set)
    pace: Allowance = field(default_factory=lambda: Allowance(_QUESTIONS_PER_S, _QUESTIONS_AT_ONCE))
    pause: asyncio.TimerHandle | None = None


class Resolvers:
    """Answers all sandboxes of this host; what it does not know it asks `forwarder`."""

    def __init__(self, forwarder: Forwarder) -> None:
        self.zones = Zones()
        self._forwarder = forwarder
        self._open: dict[str, _Open] = {}
        self._chance = random.Random()
        self._connections = Share(part_of_files(8, _TCP_CONNECTIONS), _TCP_CONNECTIONS_EACH)
        self._complained_at = -_COMPLAINT_S

    def change(self, sandbox_id: str, client: Client) -> bool:
        """From now on the sandbox may know this; False when it is not answered yet."""
        opened = self._open.get(sandbox_id)
        if opened is None:
            return False
        opened.client = client
        return True

    async def open(
        self, sandbox_id: str, path: Path, sockets: ResolverSockets, client: Client
    ) -> None:
        """Answer what comes to these sockets; they are ours from now on.

        path   the sandbox's namespace, from where its own upstreams are asked.
        """
        udp, tcp = sockets
        server = await asyncio.start_server(
            lambda reader, writer: self._serve_tcp(sandbox_id, reader, writer), sock=tcp
        )
        opened = _Open(client, Asker(self._forwarder, path), udp, server)
        self._open[sandbox_id] = opened
        asyncio.get_running_loop().add_reader(udp, self._serve_udp, opened)

    def close(self, sandbox_id: str) -> None:
        """Stop answering; not to be open is fine."""
        opened = self._open.pop(sandbox_id, None)
        if opened is None:
            return
        if opened.pause is not None:
            opened.pause.cancel()
        asyncio.get_running_loop().remove_reader(opened.udp)
        opened.udp.close()
        opened.server.close()
        for task in opened.waiting | opened.connections:
            task.cancel()

    async def close_all(self) -> None:
        waiting = [
            task for opened in self._open.values() for task in opened.waiting | opened.connections
        ]
        for sandbox_id in list(self._open):
            self.close(sandbox_id)
        if waiting:
            await asyncio.wait(waiting)

    # -- UDP ------------------------------------------------------------------------------------

    def _serve_udp(self, opened: _Open) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_DATAGRAMS_PER_TURN):
            try:
                data, sender = opened.udp.recvfrom(_LARGEST_UDP)
            except OSError:  # nothing left, or an ICMP error about an earlier answer
                return
            reply = self._reply_now(opened, data, udp=True)
            if isinstance(reply, bytes):
                _send(opened.udp, reply, sender)
            elif reply is not None:
                self._wait_udp(opened, reply, data, sender)
            if early_s := opened.pace.borrow():
                loop.remove_reader(opened.udp)
                opened.pause = loop.call_later(max(early_s, _PAUSE_S), self._go_on, opened)
                return

    def _go_on(self, opened: _Open) -> None:
        opened.pause = None
        asyncio.get_running_loop().add_reader(opened.udp, self._serve_udp, opened)

    def _reply_now(self, opened: _Open, data: bytes, *, udp: bool) -> bytes | dns.Question | None:
        """The answer; or the question, which must be asked upstream; or None, to stay silent."""
        try:
            return self._reply(opened, data, udp=udp)
        except Exception:
            self._complain()
            return None

    def _complain(self) -> None:
        """An error of ours. Whoever asks can make it happen as often as he likes: one in a while
        is logged."""
        now = asyncio.get_running_loop().time()
        if now >= self._complained_at + _COMPLAINT_S:
            self._complained_at = now
            _log.exception("a name cannot be answered")

    def _reply(self, opened: _Open, data: bytes, *, udp: bool) -> bytes | dns.Question | None:
        try:
            question = dns.parse_question(data)
        except dns.FormatError as error:
            return dns.refusal(error)
        known = resolve(self.zones, opened.client, question, self._chance)
        if known is None:
            return question
        records, code = known
        return dns.answer(question, records, code, udp=udp)

    def _wait_udp(
        self, opened: _Open, question: dns.Question, data: bytes, sender: tuple[str, int]
    ) -> None:
        if len(opened.waiting) >= _WAITING_EACH:
            _send(opened.udp, _failure(question, udp=True), sender)
            return

        async def forward() -> None:
            _send(opened.udp, await self._forward(opened, question, data, udp=True), sender)

        task = asyncio.create_task(forward())
        opened.waiting.add(task)
        task.add_done_callback(opened.waiting.discard)

    async def _forward(
        self, opened: _Open, question: dns.Question, data: bytes, *, udp: bool
    ) -> bytes:
        reply = await opened.asker.ask(data, opened.client.upstreams, tcp=not udp)
        return _failure(question, udp=udp) if reply is None else reply

    # -- TCP ------------------------------------------------------------------------------------

    async def _serve_tcp(
        self, sandbox_id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One connection: questions one after the other, until it is idle."""
        opened = self._open.get(sandbox_id)
        task = asyncio.current_task()
        if opened is None or task is None or not self._connections.allows(len(opened.connections)):
            writer.close()
            return
        opened.connections.add(task)
        self._connections.taken += 1
        try:
            while True:
                async with asyncio.timeout(_TCP_IDLE_S):
                    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                    data = await reader.readexactly(length)
                await asyncio.sleep(opened.pace.borrow())
                reply = self._reply_now(opened, data, udp=False)
                if isinstance(reply, dns.Question):
                    reply = await self._forward(opened, reply, data, udp=False)
                if reply is None:
                    return
                writer.write(_LENGTH.pack(len(reply)) + reply)
                async with asyncio.timeout(_TCP_IDLE_S):
                    await writer.drain()
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # gone, idle (TimeoutError is an OSError), or we are closing
        finally:
            opened.connections.discard(task)
            self._connections.taken -= 1
            writer.close()


def _failure(question: dns.Question, *, udp: bool) -> bytes:
    return dns.answer(question, [], dns.SERVER_FAILURE, udp=udp)


def _send(udp: socket.socket, reply: bytes, sender: tuple[str, int]) -> None:
    """A full buffer or a sandbox just gone loses an answer, as UDP may; the client asks again."""
    with contextlib.suppress(OSError):
        udp.sendto(reply, sender)
