"""Calls on what may hang: who waits, for how long, and who does not notice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from skep.kit.errors import Unavailable
from skep.kit.threads import Outside


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What hangs waits for it."""
    event = threading.Event()
    yield event
    event.set()


async def test_the_answer_or_the_error_of_the_work_comes_back() -> None:
    outside = Outside()
    assert await outside.call("/a", lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await outside.call("/a", lambda: 1 // 0)


async def test_a_timeout_of_the_work_itself_stays_its_own() -> None:
    def work() -> None:
        raise TimeoutError(110, "Connection timed out")

    with pytest.raises(TimeoutError, match="Connection timed out"):
        await Outside().call("/a", work)


async def test_what_hangs_is_said_and_holds_up_nobody_else(gate: threading.Event) -> None:
    outside = Outside(seats=2)
    hanging = [outside.call("/nfs", gate.wait, 0.05) for _ in range(8)]
    for answer in await asyncio.gather(*hanging, return_exceptions=True):
        assert isinstance(answer, Unavailable)
        assert str(answer).startswith("/nfs does not answer")
    assert sum(thread.name == "outside /nfs" for thread in threading.enumerate()) == 2
    assert await outside.call("/other", lambda: 7, 5) == 7


async def test_a_source_that_answers_again_has_its_seats_again(gate: threading.Event) -> None:
    outside = Outside(seats=1)
    with pytest.raises(Unavailable):
        await outside.call("/nfs", gate.wait, 0.05)
    gate.set()
    assert await outside.call("/nfs", lambda: 7, 5) == 7


async def test_a_crowd_at_one_source_waits_in_turn() -> None:
    outside = Outside(seats=2)
    assert await asyncio.gather(*(outside.call("/a", partial(int, n)) for n in range(50))) == list(
        range(50)
    )


async def test_threads_have_a_bound_and_beyond_it_is_an_error(gate: threading.Event) -> None:
    outside = Outside(threads=2)
    for source in ("/a", "/b"):
        with pytest.raises(Unavailable, match="does not answer"):
            await outside.call(source, gate.wait, 0.02)
    with pytest.raises(Unavailable, match="too many others"):
        await outside.call("/c", lambda: 7)


async def test_who_goes_leaves_nothing_but_the_thread(gate: threading.Event) -> None:
    outside = Outside(seats=1)
    caller = asyncio.ensure_future(outside.call("/a", gate.wait, 60))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    gate.set()
    assert await outside.call("/a", lambda: 7, 5) == 7
