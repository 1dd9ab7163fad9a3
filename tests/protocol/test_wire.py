"""Messages as bytes: framing, bounds, flow control."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.model.task import TaskStatus
from skep.protocol import wire
from skep.protocol.link import LinkClosed, MessageTooLarge, local_link
from skep.protocol.messages import (
    Goodbye,
    Heartbeat,
    Statuses,
    TaskReport,
)
from skep.protocol.wire import BadFrame, FrameReader, pack
from skep.testing.lines import wire_links


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4) + body


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 50))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(
    bodies: list[bytes], piece: int
) -> None:
    stream = b"".join(map(framed, bodies))
    reader = FrameReader(40)
    pieces = [stream[i : i + piece] for i in range(0, len(stream), piece)]
    assert [frame for data in pieces for frame in reader.feed(data)] == bodies


def test_a_length_that_is_too_large_is_refused_before_its_body_comes() -> None:
    with pytest.raises(BadFrame, match="too large, or no frame at all"):
        FrameReader(100).feed((101).to_bytes(4))


def test_a_message_that_nobody_would_take_is_not_sent() -> None:
    with pytest.raises(MessageTooLarge, match=r"a message of \d+ bytes is too large"):
        pack(Goodbye("x" * 100), max_bytes=100)


async def test_messages_arrive_in_order_and_the_end_is_seen_by_both() -> None:
    agent, manager = await wire_links()
    for number in range(1, 200):
        await agent.send(Heartbeat(number))
    assert [await manager.receive() for _ in range(1, 200)] == [Heartbeat(n) for n in range(1, 200)]
    manager.close()
    with pytest.raises(LinkClosed):
        await agent.receive()
    with pytest.raises(LinkClosed):
        await agent.send(Heartbeat(1))


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        framed(b"\xff" * 5),
        framed(b"\xc0"),
        framed(msgspec.msgpack.encode({"type": "Unheard"})),
        framed(msgspec.msgpack.encode(Goodbye("only managers say this"))),
        framed(msgspec.msgpack.encode({"type": "Heartbeat", "next_s": -1.0})),
    ],
    ids=["http", "noise", "nil", "unknown word", "a manager's word", "a wrong value"],
)
async def test_what_is_no_message_ends_the_line(garbage: bytes) -> None:
    agent, manager = await wire_links()
    agent.transport.write(garbage)
    with pytest.raises(BadFrame):
        await manager.receive()
    with pytest.raises(LinkClosed):
        await agent.receive()


async def test_reading_stops_while_nobody_takes_messages() -> None:
    """So a flood fills the sender's buffers, not the reader's memory."""
    agent, manager = await wire_links()
    report = TaskReport("t", TaskStatus(err="x" * 10_000))

    async def flood() -> None:
        while True:
            await agent.send(Statuses([report]))

    flooding = asyncio.create_task(flood())
    await asyncio.sleep(0.3)
    assert not manager.transport.is_reading()
    assert len(manager._unread) < 200
    before = len(manager._unread)
    await asyncio.sleep(0.1)
    assert len(manager._unread) == before
    assert await manager.receive() == Statuses([report])
    flooding.cancel()
    manager.abort()
    agent.abort()


async def test_an_end_that_takes_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "STALL_S", 0.2)
    agent, manager = await wire_links()
    agent.transport.pause_reading()
    with pytest.raises(LinkClosed, match=r"the other end took nothing for 0.2 s"):
        async with asyncio.timeout(5):
            while True:
                await manager.send(Goodbye("x" * 10_000))
    with pytest.raises(LinkClosed):
        await manager.receive()
    agent.abort()


async def test_messages_can_be_taken_as_they_come() -> None:
    """`each` gives the waiting ones first; what `take` raises ends the line."""
    agent, manager = await wire_links()
    for number in (1, 2):
        await agent.send(Heartbeat(number))
    await asyncio.sleep(0.05)
    taken = []

    def take(message: Heartbeat) -> None:
        taken.append(message)
        if len(taken) == 4:
            raise LinkClosed("enough")

    taking = asyncio.create_task(manager.each(take))
    await asyncio.sleep(0.05)
    for number in (3, 4):
        await agent.send(Heartbeat(number))
    with pytest.raises(LinkClosed, match="enough"):
        await taking
    assert taken == [Heartbeat(n) for n in (1, 2, 3, 4)]
    with pytest.raises(LinkClosed):
        await agent.receive()


async def test_a_line_that_ended_before_messages_are_taken_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TLS lets go of its socket a moment before it says so: the session failed with a traceback."""
    agent, manager = await wire_links()
    monkeypatch.setattr(manager.transport, "get_extra_info", lambda _: None)
    with pytest.raises(LinkClosed):
        await manager.each(lambda _: None)
    agent.close()
    manager.close()
    await asyncio.sleep(0.05)


async def test_a_line_inside_the_process_is_bounded_too() -> None:
    agent, manager = local_link()

    async def flood() -> None:
        for number in range(1, 101):
            await agent.send(Heartbeat(number))

    flooding = asyncio.create_task(flood())
    await asyncio.sleep(0)
    assert not flooding.done()
    assert [await manager.receive() for _ in range(100)] == [Heartbeat(n) for n in range(1, 101)]
    await flooding
    manager.close()
    with pytest.raises(LinkClosed):
        await agent.receive()
    with pytest.raises(LinkClosed):
        await agent.send(Heartbeat(1))
