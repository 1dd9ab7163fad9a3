"""The managers' port: takes callers, does TLS with them, and keeps bad ones bounded.

Whoever calls waits in the lobby (`pending.py`) until its first bytes come, then for its turn to do
TLS and to say what it wants; all of that has an end. A member proves itself by its certificate and
leaves the lobby. Callers are taken, and heard, in small handfuls, so that a flood of them leaves
time for everybody else on this loop, and comes through a door of its own (`reuseport.py`).
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from ipaddress import ip_network
from typing import Any

from skep.kit.jobs import Jobs
from skep.kit.process import readable
from skep.protocol.pending import Lobby
from skep.protocol.refusals import Refusals
from skep.protocol.reuseport import open_doors
from skep.protocol.tls import SHUTDOWN_S
from skep.protocol.wire import WireLink
from skep.protocol.words import WORDS

log = logging.getLogger(__name__)

_SEATS = 2_048
_HEARD_AT_ONCE = 256
_FIRST_BYTE_S = 10.0
_TURN_S = 25.0
_HANDSHAKE_S = 5.0
_PROOF_S = 10.0
_SWEEP_S = 0.5
_HANDFUL = 16
_BREATH_S = 0.002
_TURNS = 8
_NO_DESCRIPTORS_S = 0.2
_ESTABLISHED = 1
_TLS_HANDSHAKE = b"\x16"
"""The first byte of every TLS connection (RFC 8446, 5.1)."""

Serve = Callable[[WireLink[Any, Any], str, Callable[[], None]], Awaitable[None]]
"""Speak with a caller: its link, its address, and what to call once it proved to be a member."""


class _Guest:
    """A caller that has yet to prove who it is. `since` is when its present wait began."""

    __slots__ = ("address", "awaited", "job", "line", "since", "source")

    def __init__(self, line: socket.socket, source: str) -> None:
        self.line = line
        self.source = source
        self.address = neighbourhood(source)
        self.since = time.monotonic()
        self.awaited = False
        self.job: asyncio.Task[None] | None = None


class Listener:
    """Listens at `address` (host:port) from `start` to `close`. `context` is asked for each caller:
    it may change when certificates do."""

    def __init__(self, address: str, context: Callable[[], ssl.SSLContext], serve: Serve) -> None:
        self._address = address
        self._context = context
        self._serve = serve
        self._doors: list[socket.socket] = []
        self._jobs = Jobs()
        self._turns_come = False
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._lobby: Lobby[_Guest] = Lobby(*rooms_for_strangers(files))
        self.refusals = Refusals()

    @property
    def unproven(self) -> int:
        """Callers that did not yet prove who they are."""
        return len(self._lobby)

    async def start(self) -> None:
        """Raises Unavailable when the address cannot be listened at."""
        self._doors = open_doors(self._address)
        for door in self._doors:
            self._jobs.start(self._accept(door), "the managers' port")
        self._jobs.start(self._sweep(), "the managers' lobby")

    async def close(self) -> None:
        """Take no more callers and hang up on all."""
        for guest in (*self._lobby.silent, *self._lobby.waiting):
            self._drop(guest)
        await self._jobs.close()
        for door in self._doors:
            door.close()
        self._doors.clear()

    async def _accept(self, door: socket.socket) -> None:
        """(asyncio's sock_accept loses a caller who comes in the moment that it is cancelled.)"""
        while True:
            await readable(door.fileno())
            try:
                for _ in range(_HANDFUL):
                    self._admit(*door.accept())
            except BlockingIOError:
                pass  # these were all
            except OSError as error:
                await self._without_descriptors(error)
            await asyncio.sleep(_BREATH_S)

    async def _without_descriptors(self, error: OSError) -> None:
        """No more can be opened: those that wait make room, and the rest is tried again."""
        self.refusals.say("a caller", "it cannot be taken", str(error))
        if guest := self._lobby.least_promising():
            self._drop(guest)
        await asyncio.sleep(_NO_DESCRIPTORS_S)

    def _admit(self, line: socket.socket, address: tuple[Any, ...]) -> None:
        line.setblocking(False)
        guest = _Guest(line, address[0])
        if gone := self._lobby.admit(guest):
            self._refuse(gone, "too many callers wait without proving who they are")
        self._look_at(guest)

    def _spoke(self, guest: _Guest) -> None:
        self._await_no_more(guest)
        self._look_at(guest)

    def _look_at(self, guest: _Guest) -> None:
        try:
            first = guest.line.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            asyncio.get_running_loop().add_reader(guest.line, self._spoke, guest)
            guest.awaited = True
            return
        except OSError:
            first = b""
        if first != _TLS_HANDSHAKE:
            reason = "it does not speak TLS" if first else "it hung up without a word"
            self._refuse(guest, reason)
            return
        guest.since = time.monotonic()
        self._lobby.spoke(guest)
        self._next()

    def _next(self) -> None:
        """Hear whose turn it is, soon."""
        if not self._turns_come:
            self._turns_come = True
            asyncio.get_running_loop().call_soon(self._hear_some)

    def _hear_some(self) -> None:
        """A few at a time: a handshake takes about a millisecond, and others wait for the loop."""
        self._turns_come = False
        for _ in range(_TURNS):
            guest, gone = self._lobby.turn()
            if gone is not None and gone.job is not None:
                gone.job.cancel()
                self.refusals.say(gone.source, "too many callers of its address")
            if guest is None:
                return
            if _hung_up(guest.line):
                self._drop(guest)
                continue
            guest.job = self._jobs.start(self._hear(guest), f"caller {guest.source}")
        self._next()

    async def _hear(self, guest: _Guest) -> None:
        link: WireLink[Any, Any] = WireLink(*WORDS["stranger"])
        try:
            async with asyncio.timeout(_PROOF_S) as limit:
                if not await self._handshake(guest, link):
                    return

                def prove() -> None:
                    limit.reschedule(None)
                    self._leave(guest)

                await self._serve(link, guest.source, prove)
        except TimeoutError:
            self.refusals.say(guest.source, f"it did not say what it wants in {_PROOF_S:g} s")
        finally:
            link.close()
            self._leave(guest)

    async def _handshake(self, guest: _Guest, link: WireLink[Any, Any]) -> bool:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: link,
                guest.line,
                ssl=self._context(),
                ssl_handshake_timeout=_HANDSHAKE_S,
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
        except ssl.SSLCertVerificationError as error:
            self.refusals.say(guest.source, f"its certificate is refused: {error.verify_message}")
            return False
        except OSError as error:  # ssl.SSLError is one; asyncio has closed the socket
            self.refusals.say(guest.source, "no TLS 1.3 handshake", _reason(error))
            return False
        return True

    def _leave(self, guest: _Guest) -> None:
        self._lobby.leave(guest)
        self._next()

    async def _sweep(self) -> None:
        """Nobody waits for ever."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = time.monotonic()
            for guest in _since_before(now - _FIRST_BYTE_S, self._lobby.silent):
                self._refuse(guest, f"it said nothing for {_FIRST_BYTE_S:g} s")
            for guest in _since_before(now - _TURN_S, self._lobby.waiting):
                self._refuse(guest, f"its turn did not come within {_TURN_S:g} s")
            self.refusals.flush()

    def _refuse(self, guest: _Guest, reason: str) -> None:
        self._drop(guest)
        self.refusals.say(guest.source, reason)

    def _drop(self, guest: _Guest) -> None:
        """Hang up on one that waits."""
        self._lobby.leave(guest)
        self._await_no_more(guest)
        guest.line.close()

    def _await_no_more(self, guest: _Guest) -> None:
        if guest.awaited:
            guest.awaited = False
            asyncio.get_running_loop().remove_reader(guest.line)


def neighbourhood(source: str) -> str:
    """What counts as one place that calls come from: an IPv4 address, an IPv6 network (anybody
    who has one has 2^64 addresses in it)."""
    if "." in source or ":" not in source:  # ::ffff:192.0.2.1 is an IPv4 address too
        return source
    return str(ip_network(f"{source.partition('%')[0]}/64", strict=False))


def rooms_for_strangers(files: int) -> tuple[int, int]:
    """How many callers may wait, and be heard, in a process that may open so many files: never so
    many that members and containers find none left."""
    if files == resource.RLIM_INFINITY:
        return _SEATS, _HEARD_AT_ONCE
    share = files // 4
    heard = min(_HEARD_AT_ONCE, share // 2)
    return min(_SEATS, share - heard), heard


def _hung_up(line: socket.socket) -> bool:
    """Who called is gone again; what it said can still be read (tcp(7), TCP_INFO)."""
    return line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED


def _since_before(moment: float, guests: Iterator[_Guest]) -> list[_Guest]:
    return [guest for guest in guests if guest.since < moment]


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not TLS").lower().replace("_", " ")
    return str(error) or type(error).__name__
