"""Locks by name: work on one thing waits for itself, never for work on another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


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
