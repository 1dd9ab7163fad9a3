"""The sockets that the API is reached by."""

from __future__ import annotations

import asyncio
import errno
import grp
import logging
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path

from skep.api.dispatch import Dispatcher
from skep.api.node import Node
from skep.api.protocol import ApiServer
from skep.api.router import Router
from skep.kit.errors import Conflict, InvalidArgument, Unavailable

log = logging.getLogger(__name__)

_SOCKET_GROUP = "docker"
_BACKLOG = 1024
_SILENCE_S = 300.0
"""A connection that sends no request for so long is closed (dockerd's time for the headers)."""
_MAX_HEADER_BYTES = 64 * 1024
_STOP_S = 5.0


class Server:
    """Answers the Engine API for one node on one or more sockets.

    `listeners` are `unix:///path` or `tcp://host:port`; the latter is plain HTTP, without a lock on
    the door: only for those who ask for it.
    """

    def __init__(self, node: Node, listeners: Sequence[str]) -> None:
        self._dispatcher = Dispatcher(node, _router())
        self._listeners = listeners
        self._http: ApiServer | None = None
        self._servers: list[asyncio.Server] = []
        self._paths: list[Path] = []

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._http.connections) if self._http else 0

    async def start(self) -> None:
        """Listen on all, or on none: raises Conflict, Unavailable or InvalidArgument."""
        self._http = ApiServer(
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
            sock = _unix_socket(Path(place))
            self._paths.append(Path(place))
            server = await loop.create_unix_server(self._http, sock=sock, backlog=_BACKLOG)
        elif scheme == "tcp":
            server = await self._listen_tcp(place)
            log.warning(
                "the API listens on %s without encryption and without asking who is there:"
                " whoever reaches it is root on this host. Prefer the unix socket, from elsewhere"
                " by `ssh -L`", listener,
            )  # fmt: skip
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
            )
        except OSError as error:
            raise Unavailable(f"cannot listen on tcp://{place}: {error.strerror}") from None


def _router() -> Router:
    """The table of routes, imported only when a server is made."""
    from skep.api.routes.table import ROUTES

    return Router(ROUTES)


def _unix_socket(path: Path) -> socket.socket:
    """A bound socket for root and the docker group, in place of one that nobody listens on.

    Raises Conflict when somebody does, or when something else is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    except OSError as error:
        sock.close()
        raise Unavailable(f"cannot listen on unix://{path}: {error.strerror or error}") from None
    finally:
        os.umask(before)
    _let_in(path)
    sock.setblocking(False)
    return sock


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise Conflict(f"cannot listen on unix://{path}: something that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        refused = probe.connect_ex(str(path)) == errno.ECONNREFUSED
    if not refused:
        raise Conflict(f"cannot listen on unix://{path}: another daemon listens there")
    path.unlink()


def _let_in(path: Path) -> None:
    try:
        group = grp.getgrnam(_SOCKET_GROUP).gr_gid
    except KeyError:
        group = os.getgid()
    try:
        os.chown(path, -1, group)
    except PermissionError:
        log.warning("%s stays in its group: only root can give it to %s", path, _SOCKET_GROUP)
    path.chmod(0o660)
