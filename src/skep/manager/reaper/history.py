"""Which tasks of one slot are forgotten, or given up for lost.

Swarm's rules (swarmkit manager/orchestrator/taskreaper, dispatcher): a slot keeps its newest tasks
up to `task_history_retention_limit` (5; negative = all), running ones counted; with `max_attempts`
it keeps one more than those; a task to be removed goes once it is dead, or never got to a node. A
task whose node was deleted, or is down for a day, is ORPHANED: nobody will hear of it again.

Unlike Swarm, the last task of a slot always stays, since it may say that the slot wants no other;
and so does the task by which an update that is under way knows how far the slot is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from skep.manager.orchestrator.slots import wanted
from skep.manager.orchestrator.update import UNDER_WAY
from skep.model import defaults
from skep.model.node import Node
from skep.model.service import Service
from skep.model.states import TaskState
from skep.model.task import Task, TaskStatus

ORPHANED_AFTER = timedelta(hours=24)
"""How long a node may be down before its tasks are given up (swarmkit defaultNodeDownPeriod)."""


def over(task: Task) -> bool:
    """No process of the task runs, nor ever will: it is dead, or was never given to its node (a
    global service's task has one from the start)."""
    state = task.status.state
    return state.dead or (not wanted(task) and state < TaskState.ASSIGNED)


def to_forget(tasks: Sequence[Task], service: Service | None, limit: int) -> list[Task]:
    """Those of one slot's tasks (oldest first) that are history nobody needs."""
    ended = [task for task in tasks if over(task) and not wanted(task)]
    removed = [task for task in ended if service is None or task.desired_state is TaskState.REMOVE]
    if service is None:
        return removed
    limit = retention(service, limit)
    surplus = 0 if limit < 0 else len(tasks) - len(removed) - limit
    spare = [task for task in ended if task not in removed and not _needed(task, tasks, service)]
    return removed + spare[: max(0, surplus)]


def retention(service: Service, limit: int) -> int:
    """How many tasks a slot of the service keeps; negative = all."""
    max_attempts = defaults.restart_max_attempts(service.spec.task_template)
    return max_attempts + 1 if max_attempts else limit


def _needed(task: Task, tasks: Sequence[Task], service: Service) -> bool:
    if task is tasks[-1]:
        return True
    by_update = task.origin == "update" and task.spec_version == service.spec_version
    return by_update and updating(service)


def updating(service: Service) -> bool:
    """An update or a rollback is under way."""
    return service.update_status is not None and service.update_status.state in UNDER_WAY


def given_up_at(task: Task, node: Node | None, now: datetime) -> datetime | None:
    """When the task counts as lost for good; None while there is hope."""
    if not task.node_id or task.status.state.dead:
        return None
    if node is None:
        return now
    return node.down_since + ORPHANED_AFTER if node.down_since else None


def orphaned(node: Node | None, now: datetime) -> TaskStatus:
    reason = "has been deleted" if node is None else "was down for too long"
    return TaskStatus(
        timestamp=now,
        state=TaskState.ORPHANED,
        message="orphaned",
        err=f"task belonged to a node that {reason}",
    )
