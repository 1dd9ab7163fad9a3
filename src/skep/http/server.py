"""A door, reached by sockets."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from pathlib import Path

from skep.http.dispatch import Door, R, RequestDispatcher
from skep.http.protocol import HttpServer
from skep.http.sockets import unix_socket
from skep.kit.errors import InvalidArgument, Unavailable

log = logging.getLogger(__name__)

_BACKLOG = 1024
_SILENCE_S = 300.0
"""A connection that sends no request for so long is closed (dockerd's time for the headers)."""
_MAX_HEADER_BYTES = 64 * 1024
_STOP_S = 5.0


class Server:
    """Answers requests to one door on one or more sockets.

    `listeners` are `unix:///path`, for root and `group`, or `tcp://host:port`: by TLS as `tls` has
    it, and without it plain HTTP, without a lock on the door: only for those who ask for it.
    """

    def __init__(
        self,
        door: Door[R],
        listeners: Sequence[str],
        *,
        group: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._dispatcher = RequestDispatcher(door)
        self._listeners = listeners
        self._group = group
        self._tls = tls
        self._http: HttpServer | None = None
        self._servers: list[asyncio.Server] = []
        self._paths: list[Path] = []

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._http.connections) if self._http else 0

    async def start(self) -> None:
        """Listen on all, or on none: raises Conflict, Unavailable or InvalidArgument."""
        self._http = HttpServer(
            self._dispatcher,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=_SILENCE_S,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )
        try:
            for listener in self._listeners:
                await self._listen(listener)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take no more requests, end streams, let changes that were begun finish, hang up."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        self._dispatcher.end_streams()
        try:
            async with asyncio.timeout(_STOP_S):
                await self._dispatcher.finish_changes()
        except TimeoutError:
            log.warning("stopping, though some requests did not finish in %g s", _STOP_S)
        if self._http is not None:
            self._http.pre_shutdown()
            await self._http.shutdown(timeout=_STOP_S)
        while self._paths:
            self._paths.pop().unlink(missing_ok=True)

    async def _listen(self, listener: str) -> None:
        assert self._http is not None
        loop = asyncio.get_running_loop()
        scheme, _, place = listener.partition("://")
        if scheme == "unix" and place.startswith("/"):
            sock = unix_socket(Path(place), self._group)
            self._paths.append(Path(place))
            server = await loop.create_unix_server(self._http, sock=sock, backlog=_BACKLOG)
        elif scheme == "tcp":
            server = await self._listen_tcp(place)
            self._warn(listener)
        else:
            raise InvalidArgument(
                f'invalid listener "{listener}": write unix:///path/to.sock or tcp://host:port'
            )
        self._servers.append(server)
        log.info("API listens on %s", listener)

    async def _listen_tcp(self, place: str) -> asyncio.Server:
        host, _, port = place.rstrip("/").rpartition(":")
        if not host or not port.isdecimal():
            raise InvalidArgument(f'invalid listener "tcp://{place}": write tcp://host:port')
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(
                self._http,  # type: ignore[arg-type]
                host.strip("[]"),
                int(port),
                backlog=_BACKLOG,
                ssl=self._tls,
            )
        except OSError as error:
            raise Unavailable(f"cannot listen on tcp://{place}: {error.strerror}") from None

    def _warn(self, listener: str) -> None:
        if self._tls is not None and self._tls.verify_mode is ssl.CERT_REQUIRED:
            return
        open_door = "" if self._tls is not None else "without encryption and "
        log.warning(
            "the API listens on %s %swithout asking who is there: whoever reaches it is root on"
            " this host. Prefer the unix socket, from elsewhere by `ssh -L`", listener, open_door,
        )  # fmt: skip
