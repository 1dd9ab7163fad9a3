"""The managers' port: lets callers in one by one, and keeps the memory of bad ones bounded.

A caller costs memory from its first byte on, so those that did not yet prove who they are have a
number that they cannot exceed; the next one over it is hung up on at once. Each refusal is logged
once; a flood of the same is counted instead.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any

from skep.kit.addresses import split_host_port
from skep.kit.errors import Unavailable
from skep.protocol.joining import FromStranger
from skep.protocol.wire import MAX_STRANGER_FRAME_BYTES, WireLink

log = logging.getLogger(__name__)

_MAX_UNPROVEN = 256
_HANDSHAKE_S = 5.0
_BACKLOG = 1024
_QUIET_S = 60.0
_MAX_REMEMBERED = 1_000

Serve = Callable[[WireLink[Any, Any], str, Callable[[], None]], Awaitable[None]]
"""Speak with a caller: its link, its address, and what to call once it proved to be a member."""


class Refusals:
    """Says each kind of refusal once a minute for each address, and how many more there were."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def say(self, address: str, reason: str) -> None:
        now = self._clock()
        said_at, more = self._said.get((address, reason), (-_QUIET_S, 0))
        if now - said_at < _QUIET_S:
            self._said[address, reason] = (said_at, more + 1)
            return
        if len(self._said) >= _MAX_REMEMBERED:
            self._said.clear()
        self._said[address, reason] = (now, 0)
        since = f" (and {more} times more before)" if more else ""
        log.warning("refused %s: %s%s", address, reason, since)


class Listener:
    """Listens at `address` (host:port) from `start` to `close`."""

    def __init__(self, address: str, context: ssl.SSLContext, serve: Serve) -> None:
        self._address = address
        self._context = context
        self._serve = serve
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._callers: set[asyncio.Task[None]] = set()
        self._unproven = 0
        self.refusals = Refusals()

    async def start(self) -> None:
        """Raises Unavailable when the address cannot be listened at."""
        host, port = split_host_port(self._address, 0)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setblocking(False)
            listening.bind((host, port))
            listening.listen(_BACKLOG)
        except OSError as error:
            listening.close()
            raise Unavailable(
                f"cannot listen at {self._address}: {error.strerror}. Is another manager there? "
                "Choose another with --listen-addr"
            ) from None
        self._socket = listening
        self._accepting = asyncio.create_task(self._accept(listening), name="manager port")

    async def close(self) -> None:
        """Take no more callers and hang up on all."""
        jobs = [job for job in (self._accepting, *self._callers) if job is not None]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                caller, address = await loop.sock_accept(listening)
            except OSError as error:  # out of descriptors: those that are open must end first
                log.error("cannot take a caller: %s", error)
                await asyncio.sleep(1.0)
                continue
            if self._unproven >= _MAX_UNPROVEN:
                caller.close()
                self.refusals.say(address[0], "too many callers that did not prove who they are")
                continue
            self._unproven += 1
            job = asyncio.create_task(self._handle(caller, address[0]), name="caller")
            self._callers.add(job)
            job.add_done_callback(self._callers.discard)

    async def _handle(self, caller: socket.socket, address: str) -> None:
        proven = False

        def prove() -> None:
            nonlocal proven
            if not proven:
                proven = True
                self._unproven -= 1

        link: WireLink[Any, Any] = WireLink(FromStranger, MAX_STRANGER_FRAME_BYTES)
        try:
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: link,
                caller,
                ssl=self._context,
                ssl_handshake_timeout=_HANDSHAKE_S,
            )
            await self._serve(link, address, prove)
        except (OSError, ssl.SSLError, TimeoutError) as error:
            caller.close()
            self.refusals.say(address, f"no TLS 1.3 handshake: {_reason(error)}")
        except Exception:
            log.exception("speaking with %s failed", address)
        finally:
            link.close()
            prove()


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not TLS").lower().replace("_", " ")
    return str(error) or type(error).__name__
