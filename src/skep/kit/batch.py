"""Callers that ask for the same work at the same time share one run of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Batch:
    """Runs `work` as often as needed, never twice at once, once for everybody who waits.

    Who comes while a run is under way shares the next: its work began after they came, so it
    sees what they had written down before.
    """

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._one_at_a_time = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None

    async def join(self) -> None:
        """Return when a run that began after this call has ended; raises what the run raised."""
        if self._next is None:
            self._next = asyncio.create_task(self._run())
        await asyncio.shield(self._next)

    async def _run(self) -> None:
        async with self._one_at_a_time:
            self._next = None
            await self._work()
