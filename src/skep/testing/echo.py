"""A door on HTTP with nothing behind it: the least that a door is, for tests of HTTP itself."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import NamedTuple

import aiohttp

from skep.http.hijack import Connection, Taken
from skep.http.request import HttpRequest
from skep.http.router import Match, Route, Router
from skep.http.streams import octets
from skep.http.web import BaseRequest, Response, StreamResponse
from skep.kit.errors import InvalidArgument, SkepError


class EchoRequest(HttpRequest):
    __slots__ = ()

    answer_headers = {"X-Door": "echo"}


class Echo:
    """Says back what it hears. A change waits for `go_on`; what has ended is in `done`."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.done: list[str] = []
        self._router = Router(
            (
                Route("GET", "/echo/{word}", self.say),
                Route("POST", "/echo", self.echo),
                Route("POST", "/copy", self.copy),
                Route("POST", "/change", self.change),
                Route("GET", "/drip", self.drip, streams=True),
                Route("POST", "/talk", self.talk, streams=True, takes_over=True),
                Route("POST", "/fault", self.fault),
            )
        )

    def find(self, method: str, path: str) -> Match[EchoRequest] | None:
        return self._router.find(method, path)

    def request(self, http: BaseRequest, match: Match[EchoRequest]) -> EchoRequest:
        if "forbidden" in match.params.values():
            raise InvalidArgument("that word is not said here")
        return EchoRequest(http, match.params)

    def refusal(self, error: SkepError) -> Response:
        return Response(text=f"no: {error}", status=error.http_status)

    async def say(self, request: EchoRequest) -> Response:
        return Response(text=f"{request.params['word']} {request.text('more')}".strip())

    async def echo(self, request: EchoRequest) -> Response:
        return Response(body=await request.body(10, "noise"))

    async def copy(self, request: EchoRequest) -> Response:
        return Response(body=b"".join([chunk async for chunk in request.chunks()]))

    async def change(self, request: EchoRequest) -> Response:
        self.begun.set()
        await self.go_on.wait()
        self.done.append("change")
        return Response(text="changed")

    async def drip(self, request: EchoRequest) -> StreamResponse:
        return await octets(request, self._drops(), "text/plain")

    async def _drops(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"drop\n"
                await asyncio.sleep(0.01)
        finally:
            self.done.append("drip")

    async def talk(self, request: EchoRequest) -> StreamResponse:
        connection = Connection(request.http)
        await connection.write(b"HTTP/1.1 101 UPGRADED\r\n\r\n")
        while said := await connection.read():
            await connection.write(said.upper())
            if said.endswith(b"bye"):
                connection.finish()
                return Taken()
        await connection.hung_up()
        self.done.append("talk")
        connection.finish()
        return Taken()

    async def fault(self, request: EchoRequest) -> Response:
        raise ZeroDivisionError


class Reached(NamedTuple):
    """How a server is reached: for aiohttp's client, and by hand."""

    session: aiohttp.ClientSession
    kind: str
    place: str
    tls: ssl.SSLContext | None

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.kind == "unix":
            return await asyncio.open_unix_connection(self.place)
        host, port = self.place.split(":")
        return await asyncio.open_connection(host, int(port), ssl=self.tls)
