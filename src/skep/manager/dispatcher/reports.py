"""Commits what agents report: newest of each task, in batches, only ever forward."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from skep.kit.errors import Conflict, Internal, OutOfSequence, SkepError, Unavailable
from skep.kit.share import Allowance
from skep.manager.dispatcher.sanitized import is_news, status_of
from skep.model.states import TaskState
from skep.model.task import Task, TaskStatus, with_status
from skep.store.change import Update, View
from skep.store.store import Store

log = logging.getLogger(__name__)

_A_NODE_AT_ONCE, _AT_ONCE = 100, 1_000
"""Statuses in a commit, of one node and of all."""
_RATE, _BURST = 500.0, 2_000.0
"""Statuses of one node that are stored, a second and at once: a machine starts some dozens of
containers a second, and a node of thousands comes back with one status for each."""
_BREATH_S = 0.05
_RETRY_S = 0.5


class Reports:
    """Takes statuses from all sessions; `run` commits them until cancelled.

    Holds at most one status for each task, so a flood of reports cannot grow it; and each node has
    an allowance of its own, so a flood delays nobody else's.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._waiting: defaultdict[str, dict[str, TaskStatus]] = defaultdict(dict)
        self._allowances: defaultdict[str, Allowance] = defaultdict(
            lambda: Allowance(_RATE, _BURST)
        )
        self._news = asyncio.Event()

    def take(self, node_id: str, task_id: str, status: TaskStatus) -> None:
        """Remember what `node_id` says of a task of its own, unless more is known already."""
        task = self._store.view.task(task_id)
        if task is None or task.node_id != node_id or not is_news(task, status):
            return
        before = self._waiting[node_id].get(task_id)
        if before is None or _age(status) >= _age(before):
            self._waiting[node_id][task_id] = status
            self._news.set()

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                batch = self._next_batch()
                if batch:
                    await self._commit(batch)
                else:
                    await asyncio.sleep(_BREATH_S)

    def _next_batch(self) -> list[_Report]:
        """What may be stored now, of one node after the other. Whose turn it was is the last."""
        batch: list[_Report] = []
        for node_id in list(self._waiting):
            if len(batch) >= _AT_ONCE:
                break
            statuses = self._waiting[node_id] = self._waiting.pop(node_id)
            allowed = self._allowances[node_id].up_to(min(len(statuses), _A_NODE_AT_ONCE))
            said = islice(statuses.items(), allowed)
            batch += (_Report(task_id, node_id, status) for task_id, status in said)
        return batch

    async def _commit(self, batch: Sequence[_Report]) -> None:
        """Somebody may write one of the tasks meanwhile: then it still waits, and is read again."""
        now = self._clock()
        changes = [
            Update(task, why=f"node reports {report.status.state}")
            for report in batch
            if (task := reported(self._store.view, *report, now)) is not None
        ]
        try:
            await self._store.commit(changes)
        except (OutOfSequence, Conflict):
            return
        except (Unavailable, Internal) as error:
            log.error("statuses of %d tasks cannot be stored, trying again: %s", len(batch), error)
            await asyncio.sleep(_RETRY_S)
            return
        except SkepError as error:
            if len(batch) > 1:
                for report in batch:
                    await self._commit([report])
                return
            log.error("what node %s says of a task is left out: %s", batch[0].node_id, error)
        self._forget(batch)

    def _forget(self, batch: Iterable[_Report]) -> None:
        for report in batch:
            statuses = self._waiting.get(report.node_id, {})
            if statuses.get(report.task_id) is report.status:
                del statuses[report.task_id]
                if not statuses:
                    del self._waiting[report.node_id]


class _Report(NamedTuple):
    task_id: str
    node_id: str
    status: TaskStatus


def _age(status: TaskStatus) -> tuple[TaskState, datetime]:
    return status.state, status.timestamp


def reported(
    view: View, task_id: str, node_id: str, said: TaskStatus, now: datetime
) -> Task | None:
    """The task with its new status, or None when the report says nothing that may be stored: of an
    unknown task, another node's, or nothing new (`sanitized.py`)."""
    task = view.task(task_id)
    if task is None or task.node_id != node_id:
        return None
    status = status_of(task, said, now)
    return None if status is None else with_status(task, status, now)
