"""Every request passes here: find its route, check its version, answer its errors."""

from __future__ import annotations

import asyncio
import logging
import socket
import time

from skep.api.answers import error_answer
from skep.api.browsers import comes_from_another_site
from skep.api.hijack import Taken, is_taken
from skep.api.node import Node
from skep.api.protocol import go_on
from skep.api.request import Request
from skep.api.router import Route, Router
from skep.api.versions import check_version, split_version
from skep.api.web import BaseRequest, HTTPException, StreamResponse
from skep.kit.errors import SkepError

log = logging.getLogger(__name__)


class Dispatcher:
    """Answers requests for one node.

    Streams end with their caller, or by `end_streams`. A change that was begun is carried through
    even if its caller hangs up, so that nothing is half done because of a Ctrl-C.
    """

    def __init__(self, node: Node, router: Router) -> None:
        self._node = node
        self._router = router
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
        if _is_over_tcp(http) and comes_from_another_site(http.method, http.headers):
            return error_answer(
                f"a web page of {http.headers.get('Origin', 'another site')} asked for this:"
                " skep changes nothing for pages of other sites",
                403,
            )
        if "%00" in http.rel_url.raw_path_qs:
            return error_answer("the request's address has a NUL character in it", 400)
        version_text, path = split_version(http.path)
        match = self._router.find(http.method, path)
        if match is None or not match.route.takes_over:
            go_on(http)
        if match is None:
            return error_answer("page not found", 404)
        try:
            version = check_version(version_text)
        except SkepError as error:
            return error_answer(str(error), error.http_status)
        request = Request(http, self._node, version, match.params)
        if match.route.streams:
            return await self._run_stream(match.route, request)
        if http.method in {"GET", "HEAD"}:
            return await _run(match.route, request)
        return await self._run_change(match.route, request)

    async def _run_stream(self, route: Route, request: Request) -> StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            return await _run(route, request)
        finally:
            self._streams.discard(task)

    async def _run_change(self, route: Route, request: Request) -> StreamResponse:
        change = asyncio.create_task(_run(route, request))
        self._changes.add(change)
        change.add_done_callback(self._changes.discard)
        return await asyncio.shield(change)


async def _run(route: Route, request: Request) -> StreamResponse:
    """The route's answer. Its errors become answers, or a hang-up in the middle of an answer."""
    try:
        return await route.handler(request)
    except SkepError as error:
        return _break_off(request.http) or error_answer(str(error), error.http_status)
    except HTTPException as error:
        return _break_off(request.http) or error_answer(error.text or error.reason, error.status)
    except Exception as error:
        http = request.http
        if isinstance(error, ConnectionError) and _is_gone(http):
            return Taken()
        log.exception("%s %s failed unexpectedly", http.method, http.path_qs)
        return _break_off(http) or error_answer(
            f"internal error in {http.method} {http.path}: the daemon's log says more", 500
        )


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
