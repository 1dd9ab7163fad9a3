"""Long work leaves others the loop in between."""

from __future__ import annotations

import asyncio

from skep.kit.unhurried import unhurried


async def test_all_come_in_slices_and_others_have_their_turn_between_them() -> None:
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    job = asyncio.create_task(other())
    slices = [(list(items), others) async for items in unhurried(range(5), 2)]
    job.cancel()
    assert slices == [([0, 1], 0), ([2, 3], 1), ([4], 2)]


async def test_of_nothing_there_is_no_slice() -> None:
    assert not [items async for items in unhurried(range(0), 2)]
