"""A term that ends for all who work in it, wherever they stand."""

from __future__ import annotations

import asyncio

import pytest

from skep.kit.term import Over, Term


async def work(term: Term, begun: list[int], number: int) -> str:
    try:
        async with term.within():
            begun.append(number)
            await asyncio.sleep(60)
    except Over as reason:
        return str(reason)
    return "done"


async def test_its_end_stops_all_work_and_is_told_why() -> None:
    term, begun = Term(), list[int]()
    working = [asyncio.create_task(work(term, begun, number)) for number in range(3)]
    while len(begun) < 3:
        await asyncio.sleep(0)
    await term.end("enough")
    assert await asyncio.gather(*working) == ["enough"] * 3


async def test_after_its_end_nobody_begins() -> None:
    term, begun = Term(), list[int]()
    await term.end("enough")
    await term.end("another reason")
    assert await work(term, begun, 1) == "enough"
    assert begun == []


async def test_who_leaves_before_the_end_is_not_waited_for() -> None:
    term = Term()
    async with term.within():
        pass
    await term.end("enough")


async def test_the_end_waits_until_all_have_left() -> None:
    term, left = Term(), asyncio.Event()

    async def leaves_slowly() -> None:
        with pytest.raises(Over):
            async with term.within():
                try:
                    await asyncio.sleep(60)
                finally:
                    await asyncio.sleep(0.01)
                    left.set()

    leaving = asyncio.create_task(leaves_slowly())
    await asyncio.sleep(0)
    await term.end("enough")
    assert left.is_set()
    await leaving


async def test_a_timeout_of_the_work_is_its_own() -> None:
    term = Term()
    with pytest.raises(TimeoutError):
        async with term.within(), asyncio.timeout(0):
            await asyncio.sleep(60)


async def test_who_is_cancelled_is_cancelled() -> None:
    term, begun = Term(), list[int]()
    working = asyncio.create_task(work(term, begun, 1))
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    await term.end("enough")
