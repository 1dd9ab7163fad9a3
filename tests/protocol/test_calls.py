"""Calls over a line: bytes both ways, within bounds, to an end that both ends see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.kit.errors import NotFound, SkepError, Unavailable
from skep.protocol import calls
from skep.protocol.calls import WINDOW, CallEnded, Calls, Stream
from skep.protocol.link import LinkClosed, MessageTooLarge, local_link
from skep.protocol.log_frames import frames_of, packed
from skep.protocol.messages import (
    CHUNK_BYTES,
    Call,
    Chunk,
    Credit,
    End,
    FromAgent,
    LogFrame,
)
from skep.testing.lines import wire_links

LARGE = bytes(range(256)) * 1024 * 16
"""4 MiB: many windows."""


class Echo(msgspec.Struct, frozen=True, tag=True):
    """Says what it hears. `fail` is the error at the end, `stall` never ends it."""

    fail: str = ""
    stall: bool = False


class Count(msgspec.Struct, frozen=True, tag=True):
    """Says how many bytes it heard, when there are no more."""


async def ends(kind: str) -> tuple[Any, Any]:
    """A manager's and an agent's end of a line."""
    agent, manager = local_link() if kind == "local" else await wire_links()
    return manager, agent


class Line:
    """Calls at both ends of a line."""

    def __init__(self, manager: Any, agent: Any) -> None:
        self.links = manager, agent
        self.answering: set[str] = set()
        self.manager = Calls(manager.send)
        self.agent = Calls(agent.send, {Echo: self._echo, Count: self._count})
        self.jobs = [
            asyncio.create_task(self._read(manager, self.manager)),
            asyncio.create_task(self._read(agent, self.agent)),
        ]

    async def close(self) -> None:
        for link in self.links:
            link.close()
        for job in self.jobs:
            job.cancel()
        await asyncio.gather(*self.jobs, return_exceptions=True)
        await self.manager.close("the node went away")
        await self.agent.close()

    async def _read(self, link: Any, into: Calls) -> None:
        try:
            await link.each(into.take)
        finally:
            link.close()

    async def _echo(self, request: Echo, stream: Stream) -> None:
        self.answering.add("echo")
        try:
            while data := await stream.receive():
                await stream.send(data)
            if request.stall:
                await asyncio.get_running_loop().create_future()
            if request.fail:
                raise NotFound(request.fail)
        finally:
            self.answering.discard("echo")

    async def _count(self, _: Count, stream: Stream) -> None:
        number = 0
        while data := await stream.receive():
            number += len(data)
        await stream.send(str(number).encode())


@pytest.fixture(params=["local", "wire"])
async def line(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    made = Line(*await ends(request.param))
    yield made
    await made.close()


@asynccontextmanager
async def sending(stream: Stream, data: bytes) -> AsyncIterator[None]:
    """Send it beside what is done meanwhile, and half-close."""

    async def send() -> None:
        await stream.send(data)
        stream.end()

    job = asyncio.create_task(send())
    try:
        yield
        await job
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)


async def whole(stream: Stream) -> bytes:
    data = bytearray()
    while more := await stream.receive():
        data += more
    return bytes(data)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


async def test_bytes_go_both_ways_at_once_and_end(line: Line) -> None:
    async with line.manager.call(Echo()) as stream, sending(stream, LARGE):
        assert await whole(stream) == LARGE
        assert await stream.receive() == b""
    await until(lambda: not line.agent._streams)


async def test_after_a_half_close_the_answer_still_comes(line: Line) -> None:
    async with line.manager.call(Count()) as stream:
        await stream.send(LARGE)
        stream.end()
        assert await whole(stream) == str(len(LARGE)).encode()


async def test_many_calls_share_a_line(line: Line) -> None:
    async def ask(number: int) -> bytes:
        data = bytes([number]) * 200_000
        async with line.manager.call(Echo()) as stream, sending(stream, data):
            return await whole(stream)

    answers = await asyncio.gather(*map(ask, range(20)))
    assert answers == [bytes([number]) * 200_000 for number in range(20)]


async def test_an_error_comes_after_the_bytes_before_it(line: Line) -> None:
    async with line.manager.call(Echo(fail="no such thing \x1b[2J")) as stream:
        async with sending(stream, b"hello"):
            pass
        assert await stream.receive() == b"hello"
        with pytest.raises(SkepError, match=r"^no such thing  \[2J$"):
            await stream.receive()
        with pytest.raises(SkepError, match="no such thing"):
            await stream.send(b"more")


async def test_a_fault_of_the_answering_end_is_told_and_logged(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[str] = []
    monkeypatch.setattr(calls.log, "exception", lambda text, *_: faults.append(text))

    async def broken(_: object, stream: Stream) -> None:
        raise ValueError("x" * 10_000)

    line.agent._answers = {Echo: broken}
    async with line.manager.call(Echo()) as stream:
        with pytest.raises(SkepError, match=r"^internal error: x{1000,}") as raised:
            await stream.receive()
    assert len(str(raised.value)) <= 4_096
    assert len(faults) == 1


async def test_a_call_that_the_node_does_not_know_fails_alone(line: Line) -> None:
    class Novelty(msgspec.Struct, frozen=True, tag=True):
        pass

    async with line.manager.call(Novelty()) as stream:
        with pytest.raises(SkepError, match=r"this end knows no such call: .*Novelty"):
            await stream.receive()
    async with line.manager.call(Echo()) as stream, sending(stream, b"still here"):
        assert await whole(stream) == b"still here"


async def test_who_leaves_early_cancels_what_answers(line: Line) -> None:
    async with line.manager.call(Echo()) as stream:
        await stream.send(b"hello")
        assert await stream.receive() == b"hello"
        assert line.answering == {"echo"}
    await until(lambda: not line.answering and not line.agent._streams)
    async with line.manager.call(Echo(stall=True)) as stream:
        stream.end()
        await until(lambda: line.answering == {"echo"})
    await until(lambda: not line.answering and not line.agent._streams)


async def test_who_answers_may_end_it_before_all_was_said(line: Line) -> None:
    async def brief(_: object, stream: Stream) -> None:
        assert await stream.receive()
        await stream.send(b"enough")

    line.agent._answers = {Echo: brief}
    async with line.manager.call(Echo()) as stream:
        with pytest.raises(CallEnded):
            await stream.send(LARGE)
        assert await whole(stream) == b"enough"
    async with line.manager.call(Echo()) as stream, sending(stream, b"next"):
        assert await whole(stream) == b"enough"


async def test_a_reader_that_takes_nothing_stops_its_writer_and_nobody_else(line: Line) -> None:
    async def pour(_: object, stream: Stream) -> None:
        await stream.send(LARGE)

    line.agent._answers = {**line.agent._answers, Count: pour}
    async with line.manager.call(Count()) as slow:
        first = await slow.receive()
        await until(lambda: slow._granted == 0)
        async with line.manager.call(Echo()) as stream, sending(stream, LARGE):
            assert await whole(stream) == LARGE
        assert len(slow._unread) == WINDOW - len(first)
        assert first + await whole(slow) == LARGE


async def test_what_nobody_reads_is_not_sent(line: Line) -> None:
    line.agent._answers = {Echo: deaf}
    async with line.manager.call(Echo()) as stream:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await stream.send(b"x")


async def deaf(_: object, stream: Stream) -> None:
    await asyncio.get_running_loop().create_future()


async def test_the_end_of_the_line_ends_every_wait(line: Line) -> None:
    line.agent._answers = {**line.agent._answers, Count: deaf}
    async with line.manager.call(Echo()) as reading, line.manager.call(Count()) as writing:
        waits = [
            asyncio.create_task(reading.receive()),
            asyncio.create_task(writing.send(b"x")),
        ]
        await until(lambda: "echo" in line.answering)
        await line.close()
        ended = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(each) for each in ended] == [LinkClosed, LinkClosed]
    assert str(ended[0]) == "the node went away"
    assert not line.answering


async def test_on_a_line_that_is_gone_no_call_is_made(line: Line) -> None:
    await line.close()
    with pytest.raises(LinkClosed, match="the node went away"):
        async with line.manager.call(Echo()):
            pass


async def test_an_answer_that_somebody_else_cancelled_ends_too(line: Line) -> None:
    async with line.manager.call(Echo()) as stream:
        await until(lambda: "echo" in line.answering)
        line.agent._answering[1].cancel()
        with pytest.raises(SkepError, match="the call was cancelled"):
            await stream.receive()


async def test_calls_have_a_bound_at_both_ends(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MOST_CALLS", 1)
    async with line.manager.call(Echo()) as one:
        with pytest.raises(Unavailable, match="more than 1 calls are open here"):
            async with line.manager.call(Echo()):
                pass
        await one.send(b"x")
        line.agent.take(Call(99, b""))
        assert line.agent._words[-1] == End(99, "more than 1 calls are open here")


async def test_a_request_that_is_too_large_is_its_callers_error(line: Line) -> None:
    with pytest.raises(MessageTooLarge):
        async with line.manager.call(Echo(fail="x" * 1_000_000)):
            pass


class Said:
    """An end whose line keeps what is said."""

    def __init__(self, **answers: Any) -> None:
        self.words: list[Any] = []
        self.calls = Calls(self._send, answers.get("answers"))

    async def _send(self, word: Any) -> None:
        self.words.append(word)


async def test_more_bytes_than_were_asked_for_end_the_line() -> None:
    caller = Said()
    async with caller.calls.call(Echo()) as stream:
        await until(lambda: caller.words[1:] == [Credit(1, WINDOW)])
        for _ in range(WINDOW // CHUNK_BYTES):
            caller.calls.take(Chunk(1, b"x" * CHUNK_BYTES))
        with pytest.raises(LinkClosed, match="more bytes of a call came"):
            caller.calls.take(Chunk(1, b"x"))
        assert len(await stream.receive()) == WINDOW
    await caller.calls.close()

    answering = Said(answers={Echo: deaf})
    answering.calls.take(Call(1, msgspec.msgpack.encode(Echo())))
    with pytest.raises(LinkClosed, match="more bytes of a call came"):
        answering.calls.take(Chunk(1, b"x"))
    await answering.calls.close()


async def test_what_comes_for_a_call_that_is_over_is_dropped() -> None:
    said = Said()
    async with said.calls.call(Echo()) as stream:
        said.calls.take(End(1))
        said.calls.take(Chunk(1, b"late"))
        assert await stream.receive() == b""
    for word in (Chunk(1, b"late"), Credit(1, 5), End(1, "late"), Chunk(7, b"never was")):
        said.calls.take(word)
    await said.calls.close()


async def test_a_call_is_made_once() -> None:
    said = Said(answers={Echo: lambda request, stream: stream.receive()})
    said.calls.take(Call(1, msgspec.msgpack.encode(Echo())))
    with pytest.raises(LinkClosed, match="call 1 was made twice"):
        said.calls.take(Call(1, msgspec.msgpack.encode(Echo())))
    await said.calls.close()


@pytest.mark.parametrize(
    "word",
    [
        Chunk(1, b""),
        Chunk(1, b"x" * (CHUNK_BYTES + 1)),
        Credit(1, 0),
        Credit(1, 2**30),
        End(1, "x" * 100_000),
    ],
    ids=["empty", "long", "none", "endless", "error"],
)
def test_words_of_calls_have_bounds(word: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(word), type=FromAgent)


LINES = st.builds(LogFrame, st.integers(0, 2**62), st.integers(1, 2), st.binary(max_size=40))


@given(st.lists(LINES, max_size=9), st.integers(1, 30))
def test_lines_of_a_log_come_as_they_went_however_they_are_cut(
    lines: list[LogFrame], piece: int
) -> None:
    data = packed(lines)

    async def read() -> list[LogFrame]:
        stream = pieces(data[i : i + piece] for i in range(0, len(data), piece))
        return [frame async for frame in frames_of(stream)]

    assert asyncio.run(read()) == lines


@pytest.mark.parametrize(
    "data",
    [b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01\xff", (5).to_bytes(4) + b"\xa4line"],
    ids=["too long", "no message", "no line"],
)
async def test_what_is_no_line_of_a_log_is_an_error(data: bytes) -> None:
    with pytest.raises(SkepError):
        async for _ in frames_of(pieces([data])):
            pass


def pieces(data: Any) -> Any:
    """A stream of these bytes."""
    left = iter([*data, b""])

    class Pieces:
        async def receive(self) -> bytes:
            return bytes(next(left))

    return Pieces()
