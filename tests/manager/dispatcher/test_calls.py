"""Calls to nodes' engines, over real TLS and inside the process: beside everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
import pytest

from skep.agent import calls as agents_calls
from skep.agent import session
from skep.agent.worker import Worker
from skep.kit.errors import Unavailable
from skep.manager.logs import Unread
from skep.model.logs import LogOptions, LogSelector
from skep.protocol.calls import WINDOW, Answer, Stream
from skep.protocol.messages import LogFrame
from skep.testing.control_plane import ControlPlane

LARGE = bytes(range(256)) * 1024 * 8


class Echo(msgspec.Struct, frozen=True, tag=True):
    """Says what it hears, to the end of that. For tests: another call is another row."""


async def echo(_: Echo, stream: Stream) -> None:
    while data := await stream.receive():
        await stream.send(data)


@pytest.fixture(autouse=True)
def _echoing(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(worker: Worker) -> Mapping[type, Answer]:
        return {**agents_calls.answers(worker), Echo: echo}

    monkeypatch.setattr(session, "answers", answers)


async def exchange(stream: Stream, data: bytes) -> bytes:
    """Send it, and what comes back meanwhile."""
    heard = bytearray()

    async def send() -> None:
        await stream.send(data)
        stream.end()

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        while more := await stream.receive():
            heard += more
    return bytes(heard)


async def test_bytes_go_both_ways_to_a_node_and_to_the_managers_own(plane: ControlPlane) -> None:
    node = await plane.join("n1")
    await plane.until(plane.own.agent.connected.is_set)
    for node_id in (node.id, plane.own.id):
        async with plane.manager.dispatcher.call(node_id, Echo()) as stream:
            assert await exchange(stream, LARGE) == LARGE


async def test_a_node_that_goes_away_ends_its_calls(plane: ControlPlane) -> None:
    node = await plane.join("n1")
    async with plane.manager.dispatcher.call(node.id, Echo()) as stream:
        reading = asyncio.create_task(stream.receive())
        await stream.send(b"x")
        assert await reading == b"x"
        reading = asyncio.create_task(stream.receive())
        await node.stop()
        with pytest.raises(Unavailable, match=f"node {node.id} went away"):
            async with asyncio.timeout(10):
                await reading
    with pytest.raises(Unavailable, match="is not available"):
        plane.manager.dispatcher.call(node.id, Echo())


async def test_large_transfers_hold_up_neither_assignments_nor_heartbeats(
    plane: ControlPlane,
) -> None:
    """As much as goes through, both ways, on as many calls as a few people make."""
    node = await plane.join("n1")
    opened = node.agent._session
    moved = 0

    async def transfer() -> None:
        nonlocal moved
        async with plane.manager.dispatcher.call(node.id, Echo()) as stream:
            while True:
                await stream.send(bytes(WINDOW // 4))
                moved += len(await stream.receive())

    async with asyncio.TaskGroup() as group:
        transfers = [group.create_task(transfer()) for _ in range(8)]
        await plane.until(lambda: moved > 8 * WINDOW)
        service = await plane.create_service(5)
        await plane.until(lambda: len(plane.running(service)) == 5, 10.0)
        before = moved
        for _ in range(30):
            await asyncio.sleep(0.1)
            assert plane.state_of(node) == "ready"
        assert moved > before
        for job in transfers:
            job.cancel()
    assert node.agent._session is opened


async def test_a_long_log_comes_whole_and_in_order(plane: ControlPlane) -> None:
    node = await plane.join("n1")
    service = await plane.create_service(2)
    await plane.until(lambda: len(plane.running(service)) == 2)
    one, two = plane.running(service)
    long = [LogFrame(2 * n, 1, b"x" * 900) for n in range(3_000)]
    node.executor.lines = {one: long, two: [LogFrame(2 * n + 1, 2, b"short") for n in range(3)]}
    selector = LogSelector(service_ids=(service,))
    lines = [line async for line in plane.manager.logs.read(selector, LogOptions())]
    assert [line.time_ns for line in lines[:7]] == [0, 1, 2, 3, 4, 5, 6]
    assert [line.text for line in lines if line.task_id == one] == [each.line for each in long]


async def test_what_a_node_says_that_is_no_log_is_the_readers_error_alone(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await plane.join("n1")
    service = await plane.create_service(1)
    await plane.until(lambda: len(plane.running(service)) == 1)
    monkeypatch.setattr(agents_calls, "packed", lambda frames: b"\x00\x00\x00\x01\xff")
    node.executor.lines = {plane.running(service)[0]: [LogFrame(1, 1, b"line")]}
    opened = node.agent._session
    with pytest.raises(Unread, match="a line of a log cannot be read"):
        async for _ in plane.manager.logs.read(LogSelector(service_ids=(service,)), LogOptions()):
            pass
    assert node.agent._session is opened
