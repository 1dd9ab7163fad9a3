"""Locks by name: work on one thing waits for itself, never for work on another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Turns:
    """At most `count` at a time. Who is not done after `patience_s` goes on, but holds up nobody:
    it waits for something and not for the processor, and its place is another's."""

    def __init__(self, count: int, patience_s: float) -> None:
        self._free = asyncio.Semaphore(count)
        self._patience_s = patience_s

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        await self._free.acquire()
        held = [self._free]

        def give_back() -> None:
            if held:
                held.pop().release()

        timer = asyncio.get_running_loop().call_later(self._patience_s, give_back)
        try:
            yield
        finally:
            timer.cancel()
            give_back()


class KeyedLocks:
    """One lock for each key in use; a key that nobody holds or awaits costs nothing."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, asyncio.Lock] = {}
        self._claims: dict[Hashable, int] = {}

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        lock = self._locks.setdefault(key, asyncio.Lock())
        self._claims[key] = self._claims.get(key, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._claims[key] -= 1
            if not self._claims[key]:
                del self._claims[key], self._locks[key]
