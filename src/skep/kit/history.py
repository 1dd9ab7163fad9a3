"""What happened, for whoever asks: a bounded past, and followers that each have a bounded queue.

    history = History(tell)
    history.add(happening, time.time_ns())
    async with closing(follow([history], since_ns=0)) as story:
        async for told in story: ...

What happened is kept as it is and told (`tell`: with its time, to what a follower is given) only
when somebody reads, so to keep a history costs almost nothing. A follower that falls behind loses
the oldest, and never holds up anybody.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeAlias, TypeVar

from skep.kit.clock import NS_PER_S
from skep.kit.where import Where, anything

S = TypeVar("S")
T = TypeVar("T")

_QUEUE_LENGTH = 2048

Tell = Callable[[S, int], T | None]
"""Of what happened and when (ns since 1970): what is told of it; None is nothing."""


_Happening: TypeAlias = tuple[int, Any, Callable[[Any, int], Any]]
"""When, what, and how it is told. A plain tuple: there are fifty thousand a second when a hundred
thousand tasks start."""


class History(Generic[S, T]):
    """The last things that happened, in order."""

    def __init__(self, tell: Tell[S, T], length: int = 1024) -> None:
        self._tell = tell
        self._past: deque[_Happening] = deque(maxlen=length)
        self._followers: set[Followed[T]] = set()

    def add(self, source: S, now_ns: int) -> None:
        """It happened at `now_ns` by the wall clock."""
        happening = (now_ns, source, self._tell)
        self._past.append(happening)
        for follower in self._followers:
            follower.put(happening)

    def past(self) -> list[_Happening]:
        return list(self._past)

    def join(self, follower: Followed[T]) -> None:
        self._followers.add(follower)

    def leave(self, follower: Followed[T]) -> None:
        self._followers.discard(follower)


def follow(
    histories: Iterable[History[Any, T]],
    where: Where[T] = anything,
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> Followed[T]:
    """What several histories tell, as one in the order of time: their past when `since_ns` or
    `until_ns` (ns since 1970) asks for it, then what happens, until the wall clock has reached
    `until_ns` (None: for ever). Followed when this returns, until its `aclose`.
    """
    histories = list(histories)
    past: list[_Happening] = []
    if since_ns is not None or until_ns is not None:
        past = sorted(
            (happening for history in histories for happening in history.past()),
            key=lambda happening: happening[0],
        )
    return Followed(histories, past, where, since_ns or 0, until_ns)


class Followed(Generic[T]):
    """What one follower is told; whoever asked closes it, read or not."""

    def __init__(
        self,
        histories: list[History[Any, T]],
        past: Iterable[_Happening],
        where: Where[T],
        since_ns: int,
        until_ns: int | None,
    ) -> None:
        self._histories = histories
        self._waiting = deque(past, maxlen=_QUEUE_LENGTH)
        self._news = asyncio.Event()
        self._where = where
        self._since_ns = since_ns
        self._until_ns = until_ns
        for history in histories:
            history.join(self)

    def put(self, happening: _Happening) -> None:
        self._waiting.append(happening)
        self._news.set()

    def __aiter__(self) -> Followed[T]:
        return self

    async def __anext__(self) -> T:
        while happening := await self._next():
            time_ns, source, tell = happening
            if time_ns < self._since_ns:
                continue
            told: T | None = tell(source, time_ns)
            if told is not None and self._where(told):
                return told
        await self.aclose()
        raise StopAsyncIteration

    async def _next(self) -> _Happening | None:
        """None when the end that was asked for is reached."""
        while not self._waiting:
            left_s = None
            if self._until_ns is not None:
                left_s = (self._until_ns - time.time_ns()) / NS_PER_S
                if left_s <= 0:
                    return None
            self._news.clear()
            try:
                async with asyncio.timeout(left_s):
                    await self._news.wait()
            except TimeoutError:
                return None
        happening = self._waiting.popleft()
        is_late = self._until_ns is not None and happening[0] > self._until_ns
        return None if is_late else happening

    async def aclose(self) -> None:
        """Hear nothing more."""
        for history in self._histories:
            history.leave(self)
        self._waiting.clear()
