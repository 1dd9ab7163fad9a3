"""A time that ends for all who work in it at once, whoever started them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Over(Exception):
    """The term ended; the text is the reason that `end` was given."""


class Term:
    """Work `within` it; `end` stops that work wherever it stands, and nobody begins any more."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self._limits: set[asyncio.Timeout] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()

    @asynccontextmanager
    async def within(self) -> AsyncIterator[None]:
        """The block is cancelled when the term ends. Raises Over then, and when it has ended."""
        if self._reason is not None:
            raise Over(self._reason)
        try:
            async with asyncio.timeout(None) as limit:
                self._limits.add(limit)
                self._nobody.clear()
                try:
                    yield
                finally:
                    self._limits.discard(limit)
                    if not self._limits:
                        self._nobody.set()
        except TimeoutError:
            if limit.expired():
                raise Over(self._reason) from None
            raise

    async def end(self, reason: str) -> None:
        """Returns when all have left. Idempotent; the first reason counts."""
        if self._reason is None:
            self._reason = reason
            now = asyncio.get_running_loop().time()
            for limit in self._limits:
                limit.reschedule(now)
        await self._nobody.wait()
