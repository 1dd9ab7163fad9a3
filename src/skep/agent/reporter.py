"""Gathers what controllers saw: to disk first, then to the manager if there is one.

Steps on the way (accepted, preparing, …) are usually overtaken within milliseconds, so they wait a
moment for company; a task that runs or died is reported at once.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable

from skep.agent.disk import Disk
from skep.model.states import TaskState
from skep.model.task import TaskStatus
from skep.protocol.messages import Statuses, TaskReport

log = logging.getLogger(__name__)

_COMPANY_S = 0.05
_RETRY_S = 1.0

Send = Callable[[Statuses], Awaitable[None]]


class Reporter:
    """`run` until cancelled; `take` never waits. Holds one status for each task, no more."""

    def __init__(self, disk: Disk, send: Send) -> None:
        self._disk = disk
        self._send = send
        self._fresh: dict[str, TaskStatus] = {}
        self._news = asyncio.Event()
        self._urgent = asyncio.Event()

    def take(self, task_id: str, status: TaskStatus) -> None:
        self._fresh[task_id] = status
        self._news.set()
        if status.state >= TaskState.RUNNING:
            self._urgent.set()

    async def run(self) -> None:
        while True:
            await self._news.wait()
            await self._gather()
            self._news.clear()
            self._urgent.clear()
            fresh, self._fresh = self._fresh, {}
            await self._deliver(fresh)

    async def _gather(self) -> None:
        try:
            async with asyncio.timeout(_COMPANY_S):
                await self._urgent.wait()
        except TimeoutError:
            pass

    async def _deliver(self, fresh: dict[str, TaskStatus]) -> None:
        try:
            await self._disk.report(fresh)
        except (sqlite3.Error, OSError) as error:
            log.error("statuses of %d tasks cannot be kept, trying again: %s", len(fresh), error)
            self._fresh = fresh | self._fresh
            self._news.set()
            await asyncio.sleep(_RETRY_S)
            return
        await self._send(Statuses([TaskReport(*item) for item in fresh.items()]))
