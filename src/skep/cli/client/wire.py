"""HTTP/1.1 on one socket: as much of it as the Engine API speaks.

The standard library's http.client would do, but importing it (email, ssl) costs 35 ms, more than
everything else that `skep service ls` needs; and an upgraded connection has to be taken out of it
by its private parts.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping

from skep.cli.errors import Unreachable

_READ_SIZE = 64 * 1024
_MAX_HEAD = 64 * 1024
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

Body = bytes | Iterable[bytes] | None


def quote(text: str, safe: str = "") -> str:
    """Percent-encode `text` for a path or a query."""
    keep = _UNRESERVED | frozenset(safe.encode())
    return "".join(chr(byte) if byte in keep else f"%{byte:02X}" for byte in text.encode())


class Wire:
    """A socket and the bytes that were read from it too early."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.ahead = b""

    def line(self) -> bytes:
        """One line without its end; raises Unreachable when the peer hangs up before it."""
        while b"\n" not in self.ahead:
            if len(self.ahead) > _MAX_HEAD:
                raise Unreachable("the daemon's answer is not HTTP: a header line without an end")
            self._more()
        line, _, self.ahead = self.ahead.partition(b"\n")
        return line.rstrip(b"\r")

    def some(self, limit: int = _READ_SIZE) -> bytes:
        """What is there, at most `limit` bytes; empty at the end."""
        if self.ahead:
            piece, self.ahead = self.ahead[:limit], self.ahead[limit:]
            return piece
        return self._receive(limit)

    def _more(self) -> None:
        piece = self._receive(_READ_SIZE)
        if not piece:
            raise Unreachable("the daemon closed the connection before it answered")
        self.ahead += piece

    def _receive(self, limit: int) -> bytes:
        try:
            return self.socket.recv(limit)
        except ConnectionError as error:
            raise Unreachable(f"lost the connection to the daemon: {error.strerror}") from None

    def close(self) -> None:
        self.socket.close()


class Response:
    """Status, headers (names in lower case) and a body that is read once."""

    def __init__(self, wire: Wire, method: str) -> None:
        self.wire = wire
        self.status, self.reason = _status_line(wire.line())
        self.headers = _headers(wire)
        self.reusable = self.headers.get("connection", "").lower() != "close"
        self._bodyless = method == "HEAD" or self.status in {204, 304}

    def chunks(self) -> Iterator[bytes]:
        """The body in pieces as they come in."""
        if self._bodyless or self.headers.get("content-length") == "0":
            return
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            yield from self._chunked()
        elif "content-length" in self.headers:
            yield from self._exactly(int(self.headers["content-length"]))
        else:
            self.reusable = False
            while piece := self.wire.some():
                yield piece

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def _chunked(self) -> Iterator[bytes]:
        while size := int(self.wire.line().partition(b";")[0], 16):
            yield from self._exactly(size)
            self.wire.line()
        while self.wire.line():
            pass

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self.wire.some(min(size, _READ_SIZE))
            if not piece:
                raise Unreachable("the daemon closed the connection in the middle of an answer")
            size -= len(piece)
            yield piece


def send(wire: Wire, method: str, target: str, headers: Mapping[str, str], body: Body) -> None:
    """Write one request; a body of many pieces goes out chunked."""
    head = dict(headers)
    if isinstance(body, bytes):
        head["Content-Length"] = str(len(body))
    elif body is not None:
        head["Transfer-Encoding"] = "chunked"
    elif method == "POST":
        head["Content-Length"] = "0"
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in head.items())]
    payload = "\r\n".join([*lines, "", ""]).encode()
    if isinstance(body, bytes):
        wire.socket.sendall(payload + body)
        return
    wire.socket.sendall(payload)
    if body is not None:
        _send_chunked(wire.socket, body)


def _send_chunked(connection: socket.socket, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        if piece:
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
    connection.sendall(b"0\r\n\r\n")


def _status_line(line: bytes) -> tuple[int, str]:
    version, _, rest = line.decode("latin-1").partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not code.isdecimal():
        raise Unreachable(f"what answers at the daemon's address does not speak HTTP: {line!r}")
    return int(code), reason


def _headers(wire: Wire) -> dict[str, str]:
    headers = {}
    while line := wire.line():
        name, _, text = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = text.strip()
    return headers
