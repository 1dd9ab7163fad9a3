"""Commits what agents report: newest of each task, in batches, only ever forward."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from skep.kit.errors import Conflict, OutOfSequence, SkepError
from skep.model.states import TaskState
from skep.model.task import Task, TaskStatus, with_status
from skep.store.change import Update, View
from skep.store.store import Store

log = logging.getLogger(__name__)

_BATCH = 10_000
_RETRY_S = 0.5
_LONGEST_ERROR = 8_192


class Reports:
    """Takes statuses from all sessions; `run` commits them until cancelled.

    Holds at most one status for each task, so a flood of reports cannot grow it.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._waiting: dict[str, tuple[str, TaskStatus]] = {}
        self._news = asyncio.Event()

    def take(self, node_id: str, task_id: str, status: TaskStatus) -> None:
        """Remember what `node_id` says of a task of its own, unless more is known already."""
        task = self._store.view.task(task_id)
        if task is None or task.node_id != node_id:
            return
        before = self._waiting.get(task_id)
        if before is None or _age(status) >= _age(before[1]):
            self._waiting[task_id] = (node_id, status)
            self._news.set()

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                batch = dict(list(self._waiting.items())[:_BATCH])
                await self._commit(batch)

    async def _commit(self, batch: dict[str, tuple[str, TaskStatus]]) -> None:
        now = self._clock()
        changes = [
            Update(task, why=f"node reports {task.status.state}")
            for task_id, (node_id, status) in batch.items()
            if (task := reported(self._store.view, task_id, node_id, status, now)) is not None
        ]
        try:
            await self._store.commit(changes)
        except (OutOfSequence, Conflict):
            return  # somebody wrote one of them meanwhile: still waiting, read again
        except SkepError as error:
            log.error("statuses of %d tasks cannot be stored, trying again: %s", len(batch), error)
            await asyncio.sleep(_RETRY_S)
            return
        for task_id, report in batch.items():
            if self._waiting.get(task_id) is report:
                del self._waiting[task_id]


def _age(status: TaskStatus) -> tuple[TaskState, datetime]:
    return status.state, status.timestamp


def reported(
    view: View, task_id: str, node_id: str, status: TaskStatus, now: datetime
) -> Task | None:
    """The task with its new status, or None when the report says nothing that may be stored:
    an unknown task, another node's, a step backward, or what is known already."""
    task = view.task(task_id)
    if task is None or task.node_id != node_id:
        return None
    if status.state < task.status.state or status == task.status:
        return None
    if len(status.err) > _LONGEST_ERROR:
        status = replace(status, err=status.err[:_LONGEST_ERROR] + " …")
    return with_status(task, status, now)
