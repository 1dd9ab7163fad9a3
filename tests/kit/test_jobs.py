"""Work that has an owner, and work that is done whole."""

from __future__ import annotations

import asyncio

import pytest

from skep.kit import jobs
from skep.kit.jobs import Jobs, until_one_ends, whole


async def test_what_is_carried_through_goes_on_without_its_caller() -> None:
    owned, done, go = Jobs(), asyncio.Event(), asyncio.Event()

    async def work() -> int:
        await go.wait()
        done.set()
        return 7

    caller = asyncio.create_task(owned.carry_through(work(), "work"))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go.set()
    await owned.close(grace_s=10)
    assert done.is_set()
    assert await owned.carry_through(work(), "work") == 7


async def test_what_nobody_foresaw_is_logged_and_what_the_caller_is_told_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(jobs.log, "error", lambda text, *words, **_: said.append(text % words))

    async def fail(error: Exception) -> None:
        raise error

    owned = Jobs(KeyError)
    for error in (KeyError("k"), ValueError("v")):
        with pytest.raises(type(error)):
            await owned.carry_through(fail(error), f"a job with a {type(error).__name__}")
    assert said == ["a job with a ValueError failed"]


async def test_what_does_not_end_in_its_grace_is_cancelled_and_what_still_does_not_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(jobs.log, "error", lambda text, *words, **_: said.append(text % words))
    monkeypatch.setattr(jobs, "_ENDING_S", 0.01)
    ended: list[str] = []
    go = asyncio.Event()

    async def deaf() -> None:
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue

    owned = Jobs()
    owned.start(for_ever(ended, "a"), "a")
    stuck = owned.start(deaf(), "the deaf")
    await asyncio.sleep(0)
    await owned.close(grace_s=0.01)
    assert ended == ["a"]
    assert said == ["the deaf does not end"]
    go.set()
    await stuck


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
