"""Work that has an owner, and work that is done whole."""

from __future__ import annotations

import asyncio

import pytest

from skep.kit.jobs import until_one_ends, whole


async def test_whole_work_is_over_when_its_cancelled_caller_is() -> None:
    done: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0.02)
        done.append("work")

    caller = asyncio.create_task(whole(work()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == ["work"]


async def test_whole_work_gives_its_result_and_its_error() -> None:
    async def answer(number: int) -> float:
        return 1 / number

    assert await whole(answer(2)) == 0.5
    with pytest.raises(ZeroDivisionError):
        await whole(answer(0))


async def for_ever(ended: list[str], name: str) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append(name)


async def fails(after: asyncio.Event) -> None:
    await after.wait()
    raise ConnectionError("the line broke")


async def test_with_the_first_that_ends_all_do_and_its_error_is_raised() -> None:
    ended: list[str] = []
    now = asyncio.Event()
    now.set()
    with pytest.raises(ConnectionError, match="the line broke"):
        await until_one_ends(for_ever(ended, "a"), fails(now), for_ever(ended, "b"))
    assert ended == ["a", "b"]


@pytest.mark.parametrize("steps", range(5))
async def test_who_is_cancelled_in_the_moment_of_a_fault_is_cancelled(steps: int) -> None:
    """However few steps of the loop lie between the two."""
    now = asyncio.Event()
    ended: list[str] = []
    caller = asyncio.create_task(until_one_ends(for_ever(ended, "a"), fails(now)))
    await asyncio.sleep(0.01)
    now.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    if not caller.done():
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    assert ended == ["a"]
