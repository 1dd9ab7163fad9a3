"""How these tests speak of placements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from skep.manager.observations import NOTHING_SEEN
from skep.manager.room import Plan
from skep.manager.scheduler import Scheduler
from skep.model.states import TaskState
from skep.model.task import Task
from skep.store.change import Update
from skep.store.memory import MemoryView
from skep.testing.builders import at, ids

PlanAt = Callable[..., Plan]
Placed = Callable[..., Counter[str]]
Reasons = Callable[..., dict[str, str]]


@pytest.fixture
def plan() -> PlanAt:
    """The plan for everything that waits in a view."""

    def made(view: MemoryView, now: float = 1000) -> Plan:
        scheduler = Scheduler()
        return scheduler.plan(
            view, NOTHING_SEEN, frozenset(scheduler.everything(view)), at(now), ids()
        )

    return made


def updated(plan: Plan) -> list[Task]:
    return [
        change.new
        for change in plan.changes
        if isinstance(change, Update) and isinstance(change.new, Task)
    ]


@pytest.fixture
def placed(plan: PlanAt) -> Placed:
    """How many tasks each node is given."""

    def counted(view: MemoryView, now: float = 1000) -> Counter[str]:
        tasks = updated(plan(view, now))
        return Counter(task.node_id for task in tasks if task.status.state is TaskState.ASSIGNED)

    return counted


@pytest.fixture
def reasons(plan: PlanAt) -> Reasons:
    """Why tasks were left waiting, by task id."""

    def said(view: MemoryView, now: float = 1000) -> dict[str, str]:
        tasks = updated(plan(view, now))
        return {t.id: t.status.err for t in tasks if t.status.state is TaskState.PENDING}

    return said
