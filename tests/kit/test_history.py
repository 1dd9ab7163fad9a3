"""What happened, kept in a bounded past, told to followers who hold up nobody."""

from __future__ import annotations

import asyncio
import time

from skep.kit.history import History, follow

NOW = 1_000_000_000


def tell(source: str, time_ns: int) -> str | None:
    """Times are told from NOW on; whispers are not told."""
    return None if source.startswith("whisper") else f"{source}@{time_ns - NOW}"


def history(*sources: str, step: int = 10, start: int = NOW, length: int = 1024) -> History:  # type: ignore[type-arg]
    kept: History[str, str] = History(tell, length)
    for number, source in enumerate(sources):
        kept.add(source, start + number * step)
    return kept


async def test_the_past_is_bounded_and_comes_only_when_it_is_asked_for() -> None:
    kept = history("a", "b", "c", length=2)
    past = [told async for told in follow([kept], since_ns=0, until_ns=NOW + 99)]
    assert past == ["b@10", "c@20"]
    live = follow([kept])
    kept.add("d", NOW + 30)
    assert await anext(live) == "d@30"
    await live.aclose()


async def test_histories_are_one_story_in_the_order_of_time() -> None:
    one, other = history("a", "b"), history("x", "whisper", "y", start=NOW + 5)
    told = [told async for told in follow([one, other], since_ns=NOW + 5, until_ns=NOW + 25)]
    assert told == ["x@5", "b@10", "y@25"]


async def test_what_happens_is_told_until_the_end_that_was_asked_for() -> None:
    kept = history()
    following = follow([kept], until_ns=time.time_ns() + 50_000_000)
    kept.add("late", time.time_ns() + 10**10)
    assert [told async for told in following] == []
    assert [told async for told in follow([kept], until_ns=time.time_ns() + 50_000_000)] == []


async def test_only_what_is_wanted_is_told() -> None:
    kept = history("apple", "bee", "ant")
    starts_with_a = follow([kept], lambda told: told.startswith("a"), since_ns=0, until_ns=NOW + 99)
    assert [told async for told in starts_with_a] == ["apple@0", "ant@20"]


async def test_a_slow_follower_loses_the_oldest_and_holds_up_nobody() -> None:
    kept = history()
    following = follow([kept])
    for number in range(5000):
        kept.add(str(number), NOW)
    assert await anext(following) == f"{5000 - 2048}@0"
    await following.aclose()


async def test_who_closes_hears_no_more() -> None:
    kept = history()
    following = follow([kept])
    waiting = asyncio.create_task(anext(following))
    await asyncio.sleep(0)
    await following.aclose()
    kept.add("a", NOW)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
