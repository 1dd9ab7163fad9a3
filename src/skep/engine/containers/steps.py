"""Work that goes on although nobody waits for it any more, and an orderly end for all of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from skep.kit.errors import SkepError

_log = logging.getLogger(__name__)
_CLOSE_TIMEOUT_S = 10.0
T = TypeVar("T")


class Steps:
    """Every task of the containers' room that must not be lost, nor outlive the engine."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, T], what: str) -> asyncio.Task[T]:
        """Do it in the background; an error that is ours is logged whole."""
        task = asyncio.create_task(work, name=f"container-{what}")
        self._under_way.add(task)
        task.add_done_callback(self._done)
        return task

    async def uninterrupted(self, work: Coroutine[Any, Any, T]) -> T:
        """Go on with it even when the caller goes away; errors reach whoever still waits."""
        return await asyncio.shield(self.begin(work, "step"))

    async def close(self) -> None:
        """Let what is under way finish, for some seconds, then end it."""
        for attempt in ("finish", "cancel"):
            if attempt == "cancel":
                for task in self._under_way:
                    task.cancel()
            if self._under_way:
                await asyncio.wait(set(self._under_way), timeout=_CLOSE_TIMEOUT_S)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, SkepError):
            _log.error("%s failed", task.get_name(), exc_info=error)
