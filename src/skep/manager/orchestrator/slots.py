"""Slots: the places of a service's tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from skep.model.states import TaskState
from skep.model.task import Task

SlotKey: TypeAlias = int | str
"""A number from 1 in a replicated service, a node's id in a global one."""

RUNNING = TaskState.RUNNING
_WANTED = (RUNNING, TaskState.READY)
REMOVE = TaskState.REMOVE


class Slot(NamedTuple):
    """One place. `tasks` are all that the store remembers, oldest first; `holders` those that are
    wanted, oldest first, as they will be after the plan that is being made."""

    key: SlotKey
    tasks: list[Task]
    holders: list[Task]


def wanted(task: Task) -> bool:
    """The task should run, or will."""
    return task.desired_state in _WANTED


def running(task: Task) -> bool:
    """The task should run and was seen to."""
    return task.status.state is RUNNING and task.desired_state is RUNNING


def slots_of(tasks: Iterable[Task]) -> dict[SlotKey, Slot]:
    """All tasks of one service by slot."""
    grouped: defaultdict[SlotKey, list[Task]] = defaultdict(list)
    for task in tasks:
        grouped[task.slot or task.node_id].append(task)
    return {key: _slot(key, group) for key, group in grouped.items()}


def _slot(key: SlotKey, tasks: list[Task]) -> Slot:
    if len(tasks) > 1:
        tasks.sort(key=_age)
    return Slot(key, tasks, [task for task in tasks if wanted(task)])


def _age(task: Task) -> tuple[object, str]:
    return task.created_at, task.id
