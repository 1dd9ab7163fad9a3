"""Work that has an owner, and work that is done whole."""

from __future__ import annotations

import asyncio

import pytest

from skep.kit.jobs import whole


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
