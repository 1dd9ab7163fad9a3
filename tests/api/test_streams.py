"""Answers that are written while they are made."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from skep.api import Server
from skep.api.streams import frame
from skep.engine import WaitCondition
from skep.kit.errors import Internal, NotFound
from skep.model.container import ContainerInspect, WaitResult
from skep.model.event import make_event
from skep.model.image import AuthConfig, Platform, Progress
from skep.runtime.door import Chunk
from skep.testing.node import StandInNode, running
from skep.testing.stand_in import instead_of


class Source:
    """Gives out items one by one, counts them, and knows whether it was closed."""

    def __init__(self, *items: Any, endless: bool = False) -> None:
        self.items = items
        self.endless = endless
        self.given = 0
        self.closed = asyncio.Event()

    async def __call__(self) -> AsyncIterator[Any]:
        try:
            for item in self.items:
                self.given += 1
                if isinstance(item, Exception):
                    raise item
                yield item
            while self.endless:
                self.given += 1
                yield self.items[-1]
                await asyncio.sleep(0)
        finally:
            self.closed.set()


def give_logs(node: StandInNode, source: Source, tty: bool = False) -> None:
    @instead_of(node.engine.containers.inspect)
    async def inspect(name: str, *, size: bool = False) -> ContainerInspect:
        return running(tty=tty)

    @instead_of(node.engine.containers.logs)
    async def logs(name: str, **options: object) -> AsyncIterator[Chunk]:
        node.calls.append(options)
        return source()


def give_pull(node: StandInNode, source: Source) -> None:
    @instead_of(node.engine.images.pull)
    def pull(
        reference: str, auth: AuthConfig | None = None, platform: Platform | None = None
    ) -> AsyncIterator[Progress]:
        node.calls.append((reference, auth, platform))
        return source()


def test_a_frame_is_the_stream_and_the_length_before_the_bytes() -> None:
    assert frame(2, b"oops\n") == b"\x02\x00\x00\x00" + struct.pack(">I", 5) + b"oops\n"


@pytest.mark.parametrize(
    ("version", "tty", "kind", "body"),
    [
        ("1.41", False, "raw", frame(1, b"out\n") + frame(2, b"err\n")),
        ("1.42", False, "multiplexed", frame(1, b"out\n") + frame(2, b"err\n")),
        ("1.50", False, "multiplexed", frame(1, b"out\n") + frame(2, b"err\n")),
        ("1.50", True, "raw", b"out\nerr\n"),
    ],
)
async def test_logs_are_framed_unless_they_come_from_a_terminal(
    node: StandInNode, http: aiohttp.ClientSession, version: str, tty: bool, kind: str, body: bytes
) -> None:
    give_logs(node, Source(Chunk(stream=1, data=b"out\n"), Chunk(stream=2, data=b"err\n")), tty)
    answer = await http.get(f"/v{version}/containers/c/logs?stdout=1&stderr=1")
    assert answer.headers["Content-Type"] == f"application/vnd.docker.{kind}-stream"
    assert await answer.read() == body


async def test_log_options_reach_the_engine(node: StandInNode, http: aiohttp.ClientSession) -> None:
    give_logs(node, Source())
    await http.get("/containers/c/logs?stdout=1&tail=5&since=100.5&timestamps=1&follow=true")
    assert node.calls == [
        {
            "follow": True,
            "stdout": True,
            "stderr": False,
            "since_ns": 100_500_000_000,
            "until_ns": None,
            "tail": 5,
            "timestamps": True,
            "details": False,
        }
    ]


async def test_logs_of_no_stream_are_refused(http: aiohttp.ClientSession) -> None:
    answer = await http.get("/containers/c/logs")
    assert answer.status == 400
    assert await answer.json() == {"message": "Bad parameters: you must choose at least one stream"}


async def test_a_source_ends_when_its_client_hangs_up(
    node: StandInNode, http: aiohttp.ClientSession
) -> None:
    source = Source(Chunk(stream=1, data=b"tick\n"), endless=True)
    give_logs(node, source)
    answer = await http.get("/containers/c/logs?stdout=1&follow=1")
    await answer.content.readexactly(13)
    answer.close()
    async with asyncio.timeout(5):
        await source.closed.wait()


async def test_a_slow_reader_holds_up_its_own_source_only(
    node: StandInNode, http: aiohttp.ClientSession, sock: Path
) -> None:
    source = Source(Chunk(stream=1, data=bytes(65536)), endless=True)
    give_logs(node, source)
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(sock))
        slow.sendall(b"GET /containers/c/logs?stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n")
        async with asyncio.timeout(5):
            while not await _stands_still(source):
                pass
        assert 0 < source.given < 20
        assert (await http.get("/_ping")).status == 200
    async with asyncio.timeout(5):
        await source.closed.wait()


async def _stands_still(source: Source) -> bool:
    before = source.given
    await asyncio.sleep(0.2)
    return source.given == before


async def test_stopping_the_server_ends_streams_at_once(
    node: StandInNode, server: Server, http: aiohttp.ClientSession
) -> None:
    source = Source(Chunk(stream=1, data=b"tick\n"), endless=True)
    give_logs(node, source)
    answer = await http.get("/containers/c/logs?stdout=1&follow=1")
    async with asyncio.timeout(2):
        await server.stop()
        await source.closed.wait()
    answer.close()


async def test_events_are_lines_of_json_whose_headers_come_at_once(
    node: StandInNode, http: aiohttp.ClientSession
) -> None:
    answer = await http.get('/events?filters={"type":["container"]}')
    assert answer.status == 200
    event = make_event("container", "start", "c1", {"image": "web"}, 5_000_000_001)
    node.engine.events.add(event, 5_000_000_001)
    assert json.loads(await answer.content.readline()) == {
        "status": "start",
        "id": "c1",
        "from": "web",
        "Type": "container",
        "Action": "start",
        "Actor": {"ID": "c1", "Attributes": {"image": "web"}},
        "scope": "local",
        "time": 5,
        "timeNano": 5_000_000_001,
    }
    answer.close()


async def test_a_pull_is_told_line_by_line(node: StandInNode, http: aiohttp.ClientSession) -> None:
    news = Source(Progress("Pulling from library/web", id="latest"), Progress("Status: done"))
    give_pull(node, news)
    answer = await http.post("/images/create?fromImage=web&tag=latest")
    lines = [json.loads(line) for line in (await answer.read()).splitlines()]
    assert lines == [
        {"status": "Pulling from library/web", "id": "latest"},
        {"status": "Status: done"},
    ]
    assert node.calls == [("web:latest", None, None)]


async def test_a_pull_that_is_refused_at_first_has_a_status(
    node: StandInNode, http: aiohttp.ClientSession
) -> None:
    give_pull(node, Source(NotFound("manifest unknown")))
    answer = await http.post("/images/create?fromImage=web")
    assert (answer.status, await answer.json()) == (404, {"message": "manifest unknown"})


async def test_a_pull_that_fails_later_says_so_in_its_last_line(
    node: StandInNode, http: aiohttp.ClientSession
) -> None:
    news = Source(Progress("Downloading"), Internal("connection reset"))
    give_pull(node, news)
    answer = await http.post("/images/create?fromImage=web")
    assert answer.status == 200
    assert [json.loads(line) for line in (await answer.read()).splitlines()] == [
        {"status": "Downloading"},
        {"errorDetail": {"message": "connection reset"}, "error": "connection reset"},
    ]


async def test_a_wait_is_heard_of_before_it_ends(
    node: StandInNode, http: aiohttp.ClientSession
) -> None:
    waiting, ended = asyncio.Event(), asyncio.Event()

    @instead_of(node.engine.containers.wait)
    async def wait(name: str, condition: WaitCondition = "") -> WaitResult:
        node.calls.append((name, condition))
        waiting.set()
        await ended.wait()
        return WaitResult(status_code=42)

    instead_of(node.engine.containers.resolve)(lambda name: "c1")
    answer = await http.post("/containers/c/wait?condition=next-exit")
    assert answer.status == 200
    assert waiting.is_set()
    ended.set()
    assert await answer.json() == {"StatusCode": 42}
    assert node.calls == [("c1", "next-exit")]


async def test_waiting_for_nothing_is_not_found_at_once(
    node: StandInNode, http: aiohttp.ClientSession
) -> None:
    @instead_of(node.engine.containers.resolve)
    def resolve(name: str) -> str:
        raise NotFound("No such container: c")

    answer = await http.post("/containers/c/wait")
    assert (answer.status, await answer.json()) == (404, {"message": "No such container: c"})


async def test_a_wait_condition_that_docker_does_not_have_is_refused(
    node: StandInNode, http: aiohttp.ClientSession
) -> None:
    instead_of(node.engine.containers.resolve)(lambda name: "c1")
    answer = await http.post("/containers/c/wait?condition=full-moon")
    assert answer.status == 400
