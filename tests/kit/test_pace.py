"""Few never wait for each other, a crowd goes some at a time."""

from __future__ import annotations

import asyncio

from skep.kit.pace import Pacer

LONG_S = 60.0


def done(turns: list[asyncio.Future[None]]) -> list[bool]:
    return [turn.done() for turn in turns]


async def test_few_have_their_turn_at_once() -> None:
    turns = Pacer(3, LONG_S)
    assert done([turns.next() for _ in range(3)]) == [True] * 3


async def test_a_crowd_goes_some_at_a_time_in_order() -> None:
    turns = Pacer(2, 0.01)
    crowd = [turns.next() for _ in range(5)]
    assert done(crowd) == [True, True, False, False, False]
    await crowd[2]
    assert done(crowd) == [True, True, True, True, False]
    await crowd[4]


async def test_after_a_moment_of_rest_nobody_waits() -> None:
    turns = Pacer(2, 0.01)
    await asyncio.gather(*(turns.next() for _ in range(3)))
    await asyncio.sleep(0.05)
    assert done([turns.next(), turns.next()]) == [True, True]


async def test_who_waits_no_longer_takes_nobodys_turn() -> None:
    turns = Pacer(1, 0.01)
    _, second, third = (turns.next() for _ in range(3))
    second.set_result(None)
    fourth = turns.next()
    await third
    assert not fourth.done()
