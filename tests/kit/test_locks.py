"""Turns: how many at a time, and what becomes of one that takes too long."""

from __future__ import annotations

import asyncio

from skep.kit.locks import Turns


async def test_so_many_at_a_time_and_no_more() -> None:
    turns, inside, most = Turns(2, patience_s=60), 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with turns.hold():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(10)))
    assert most == 2


async def test_one_that_hangs_holds_up_nobody_and_gives_its_place_back_once() -> None:
    turns, gate = Turns(1, patience_s=0.02), asyncio.Event()

    async def hang() -> None:
        async with turns.hold():
            await gate.wait()

    hanging = [asyncio.ensure_future(hang()) for _ in range(3)]
    async with asyncio.timeout(5), turns.hold():
        pass
    gate.set()
    await asyncio.gather(*hanging)
    inside = [turns.hold() for _ in range(2)]
    await inside[0].__aenter__()
    second = asyncio.ensure_future(inside[1].__aenter__())
    await asyncio.sleep(0)
    assert not second.done()
    await inside[0].__aexit__(None, None, None)
    await second
    await inside[1].__aexit__(None, None, None)
