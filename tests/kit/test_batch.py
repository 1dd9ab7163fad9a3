"""Callers that come together share one run; nobody gets a run that began before they came."""

from __future__ import annotations

import asyncio

import pytest

from skep.kit.batch import Batch


class Work:
    """Each run waits for `go`."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self.go = asyncio.Event()

    async def run(self) -> None:
        self.begun += 1
        await self.go.wait()
        self.ended += 1


async def test_those_who_come_together_share_a_run() -> None:
    work = Work()
    work.go.set()
    batch = Batch(work.run)
    await asyncio.gather(*(batch.join() for _ in range(50)))
    assert work.ended == 1


async def test_who_comes_during_a_run_waits_for_the_next() -> None:
    work = Work()
    batch = Batch(work.run)
    early = asyncio.create_task(batch.join())
    while not work.begun:
        await asyncio.sleep(0)
    late = [asyncio.create_task(batch.join()) for _ in range(3)]
    await asyncio.sleep(0)
    assert work.begun == 1, "never two at once"
    work.go.set()
    await asyncio.gather(early, *late)
    assert work.ended == 2


async def test_a_failure_is_told_to_all_who_shared_it_and_to_no_other() -> None:
    fails = True

    async def run() -> None:
        if fails:
            raise ValueError("no")

    batch = Batch(run)
    results = await asyncio.gather(batch.join(), batch.join(), return_exceptions=True)
    assert [str(result) for result in results] == ["no", "no"]
    fails = False
    await batch.join()


async def test_one_who_gives_up_takes_nothing_from_the_others() -> None:
    work = Work()
    batch = Batch(work.run)
    first, second = asyncio.create_task(batch.join()), asyncio.create_task(batch.join())
    await asyncio.sleep(0)
    first.cancel()
    work.go.set()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert work.ended == 1
