"""aiohttp's connection, but for what a client says right behind a request to take it over.

aiohttp knows one upgrade, to websockets; behind any other it takes what comes in the same packet
for nothing, and what comes next for HTTP. Here these bytes wait for whoever takes the connection.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from skep.http.web import BaseRequest, RequestHandler, Server

log = logging.getLogger(__name__)

_HEAD_END = b"\r\n\r\n"
_MOST_BYTES = 64 * 1024
"""Of a head that is remembered, and of early bytes before the client is held up."""


def go_on(http: BaseRequest) -> None:
    """The connection of this request is not taken over: it goes on as HTTP."""
    if isinstance(http.protocol, HttpProtocol):
        http.protocol.go_on()


def is_over_tls(transport: asyncio.BaseTransport | None) -> bool:
    return transport is not None and transport.get_extra_info("sslcontext") is not None


class HttpServer(Server):
    """aiohttp's server with these connections."""

    def __call__(self) -> RequestHandler:
        return HttpProtocol(self, loop=self._loop, **self._kwargs)


class HttpProtocol(RequestHandler):
    """One connection, as long as it speaks HTTP."""

    __slots__ = (
        "_body",
        "_body_left",
        "_ended_early",
        "_head",
        "_held_up",
        "_waiting",
        "handed_over",
    )

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self._head = bytearray()
        self._body: StreamReader | None = None
        self._waiting: bytearray | None = None
        self._body_left = 0
        self._ended_early = False
        self._held_up = False
        self.handed_over = False

    def data_received(self, data: bytes) -> None:
        if self._waiting is not None and data:
            body, early = data[: self._body_left], data[self._body_left :]
            self._body_left -= len(body)
            if body:
                super().data_received(body)
            self._wait(early)
            return
        in_body = self._body is not None and not self._body.is_eof()
        seen = self._request_count
        super().data_received(data)
        if self._request_count == seen:
            if not in_body:
                self._head += data[: _MOST_BYTES - len(self._head)]
            return
        message, self._body = self._messages[-1]
        if self._request_count == seen + 1 and getattr(message, "upgrade", False):
            self._begin_to_wait(message, bytes(self._head) + data)
        self._head.clear()

    def _begin_to_wait(self, message: Any, said: bytes) -> None:
        """The request's own body may still be on its way; what follows is not HTTP's."""
        length = message.headers.get("Content-Length", "0")
        _, end, behind = said.partition(_HEAD_END)
        if message.chunked or not end or not length.isdecimal():
            return
        self._waiting = bytearray()
        self._body_left = max(int(length) - len(behind), 0)
        self._wait(behind[int(length) :])

    def _wait(self, early: bytes) -> None:
        assert self._waiting is not None
        self._waiting += early
        if len(self._waiting) > _MOST_BYTES and self.transport is not None:
            self._held_up = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:  # type: ignore[override]
        """True keeps the connection: a client may have said all that it has to say, and listen.
        asyncio's TLS has no such half: there the end of one direction is the end of both."""
        self._ended_early = self._waiting is not None
        return self._ended_early and not is_over_tls(self.transport)

    def log_exception(self, *words: Any, **options: Any) -> None:
        """A client that speaks no HTTP is answered; it does not fill the log with tracebacks."""
        error = options.get("exc_info")
        if isinstance(error, HttpProcessingError):
            log.debug("a client was refused: %s", error.message)
        else:
            super().log_exception(*words, **options)

    def hand_over(self, reader: asyncio.StreamReader) -> None:
        """Give what waited to whoever takes the connection."""
        self.handed_over = True
        if self._waiting:
            reader.feed_data(bytes(self._waiting))
        if self._ended_early:
            reader.feed_eof()

    def go_on(self) -> None:
        """What waited is the next request."""
        if self._waiting is None:
            return
        early, self._waiting = bytes(self._waiting), None
        if self._ended_early:
            self.close()
        elif early:
            self.data_received(early)
        if self._held_up and self.transport is not None:
            self._held_up = False
            self.transport.resume_reading()
