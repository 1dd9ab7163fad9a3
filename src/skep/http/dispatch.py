"""Every request passes here: find its route, run it, answer its errors."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from typing import Generic, Protocol, TypeVar

from skep.http.browsers import comes_from_another_site
from skep.http.hijack import Taken, is_taken
from skep.http.protocol import go_on
from skep.http.request import HttpRequest
from skep.http.router import Match, Route
from skep.http.web import BaseRequest, HTTPException, StreamResponse
from skep.kit.errors import Forbidden, Internal, InvalidArgument, NotFound, SkepError

log = logging.getLogger(__name__)

R = TypeVar("R", bound=HttpRequest)


class Door(Protocol[R]):
    """What is asked through HTTP, and how refusals are worded."""

    def find(self, method: str, path: str) -> Match[R] | None:
        """The route that a request takes; None when there is none."""
        ...

    def request(self, http: BaseRequest, match: Match[R]) -> R:
        """What the route's handler is given. Raises SkepError for what no handler should see."""
        ...

    def refusal(self, error: SkepError) -> StreamResponse:
        """The answer that says why not."""
        ...


class HttpError(SkepError):
    """What aiohttp finds wrong with a request."""

    def __init__(self, error: HTTPException) -> None:
        super().__init__(error.text or error.reason)
        self.http_status = error.status


class RequestDispatcher(Generic[R]):
    """Answers requests for one door.

    Streams end with their caller, or by `end_streams`. A change that was begun is carried through
    even if its caller hangs up, so that nothing is half done because of a Ctrl-C.
    """

    def __init__(self, door: Door[R]) -> None:
        self._door = door
        self._streams: set[asyncio.Task[None]] = set()
        self._changes: set[asyncio.Task[StreamResponse]] = set()

    async def __call__(self, http: BaseRequest) -> StreamResponse:
        started = time.perf_counter()
        answer = await self._answer(http)
        if not is_taken(http):
            go_on(http)
        if log.isEnabledFor(logging.DEBUG):
            spent_ms = (time.perf_counter() - started) * 1000
            log.debug("%s %s: %d in %.1f ms", http.method, http.path_qs, answer.status, spent_ms)
        return answer

    def end_streams(self) -> None:
        """Hang up on everybody who follows logs, events, or an attached process."""
        for stream in self._streams:
            stream.cancel()

    async def finish_changes(self) -> None:
        """Wait for the changes that are under way, whose callers may be gone."""
        while self._changes:
            await asyncio.wait(self._changes)

    async def _answer(self, http: BaseRequest) -> StreamResponse:
        try:
            match = self._match(http)
            request = self._door.request(http, match)
        except SkepError as error:
            return self._door.refusal(error)
        if match.route.streams:
            return await self._run_stream(match.route, request)
        if http.method in {"GET", "HEAD"}:
            return await self._run(match.route, request)
        return await self._run_change(match.route, request)

    def _match(self, http: BaseRequest) -> Match[R]:
        if _is_over_tcp(http) and comes_from_another_site(http.method, http.headers):
            raise Forbidden(
                f"a web page of {http.headers.get('Origin', 'another site')} asked for this:"
                " skep changes nothing for pages of other sites"
            )
        if "%00" in http.rel_url.raw_path_qs:
            raise InvalidArgument("the request's address has a NUL character in it")
        match = self._door.find(http.method, http.path)
        if match is None:
            raise NotFound("page not found")
        if not match.route.takes_over:
            go_on(http)
        return match

    async def _run_stream(self, route: Route[R], request: R) -> StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            return await self._run(route, request)
        finally:
            self._streams.discard(task)

    async def _run_change(self, route: Route[R], request: R) -> StreamResponse:
        change = asyncio.create_task(self._run(route, request))
        self._changes.add(change)
        change.add_done_callback(self._changes.discard)
        return await asyncio.shield(change)

    async def _run(self, route: Route[R], request: R) -> StreamResponse:
        """The route's answer. Its errors become answers, or a hang-up in the middle of one."""
        http = request.http
        try:
            return await route.handler(request)
        except SkepError as error:
            refused = error
        except HTTPException as error:
            refused = HttpError(error)
        except Exception as error:
            if isinstance(error, ConnectionError) and _is_gone(http):
                return Taken()
            log.exception("%s %s failed unexpectedly", http.method, http.path_qs)
            refused = Internal(
                f"internal error in {http.method} {http.path}: the daemon's log says more"
            )
        return _break_off(http) or self._door.refusal(refused)


def _is_over_tcp(http: BaseRequest) -> bool:
    sock = http.transport.get_extra_info("socket") if http.transport is not None else None
    return sock is not None and sock.family != socket.AF_UNIX


def _is_gone(http: BaseRequest) -> bool:
    return http.transport is None or http.transport.is_closing()


def _break_off(http: BaseRequest) -> StreamResponse | None:
    """After the first byte of an answer, cutting it short is the only way to say that it failed."""
    if http.writer.output_size == 0 and not is_taken(http):
        return None
    if http.transport is not None:
        http.transport.close()
    return Taken()
