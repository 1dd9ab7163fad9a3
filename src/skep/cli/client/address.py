"""Where the daemon listens: `unix:///path` or `tcp://host:port`."""

from __future__ import annotations

import errno
import socket
from typing import NamedTuple

from skep.cli.errors import Failure, Unreachable

DEFAULT = "unix:///run/skep.sock"
_DEFAULT_PORT = 2375
_CONNECT_TIMEOUT_S = 10.0


class Address(NamedTuple):
    """`text` is what the person wrote; a unix `path`, or else `host` and `port`."""

    text: str
    path: str = ""
    host: str = ""
    port: int = 0

    @property
    def http_host(self) -> str:
        return f"{self.host}:{self.port}" if self.host else "localhost"


def parse_address(text: str) -> Address:
    """Read an address; raises Failure when it is of no kind that we can connect to."""
    scheme, separator, rest = text.partition("://")
    if separator and scheme == "unix" and rest:
        return Address(text, path=rest)
    if separator and scheme in {"tcp", "http"} and rest:
        host, _, port = rest.rstrip("/").rpartition(":")
        if not host:
            host, port = port, str(_DEFAULT_PORT)
        if port.isdecimal() and 0 < int(port) < 65536:
            return Address(text, host=host.strip("[]"), port=int(port))
    raise Failure(
        f'unable to parse daemon host "{text}": write unix:///path/to.sock or tcp://host:port'
    )


def connect(address: Address, patience_s: float | None = None) -> socket.socket:
    """A connected socket whose every wait ends after `patience_s` (None: never); raises Unreachable
    with what to do about it."""
    try:
        connection = _unix(address.path, patience_s) if address.path else _tcp(address)
    except OSError as error:
        raise Unreachable(_advice(address, error)) from None
    connection.settimeout(patience_s)
    return connection


def _unix(path: str, patience_s: float | None) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(patience_s)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def _tcp(address: Address) -> socket.socket:
    connection = socket.create_connection((address.host, address.port), _CONNECT_TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _advice(address: Address, error: OSError) -> str:
    if error.errno == errno.EACCES:
        return (
            f"permission denied on the skep daemon's socket at {address.text}: "
            "run this as root, or as a member of the group that owns the socket"
        )
    if error.errno in {errno.ENOENT, errno.ECONNREFUSED}:
        return (
            f"Cannot connect to the skep daemon at {address.text}. Is it running? "
            "Start it with: skep daemon"
        )
    return f"Cannot connect to the skep daemon at {address.text}: {error.strerror or error}"
