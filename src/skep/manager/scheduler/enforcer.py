"""The constraint enforcer: a task whose node no longer meets its constraints has to go.

Looks at a node when its labels, role or resources change, and at the active ones only: a paused
node keeps what it has, a drained one is emptied by the orchestrators. The service's constraints of
now count, not those that the task was made with: an update that changes only constraints leaves
the tasks that still fit alone. Only the state is written: the wish for the task is the
orchestrator's, which replaces what was rejected as it does whatever died. (Source: swarmkit
orchestrator/constraintenforcer.)
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from skep.manager.constraint import matches, parse
from skep.manager.observations import Seen
from skep.manager.room import NewId, Plan
from skep.manager.scheduler.filters import request_of
from skep.manager.scheduler.nodeinfo import NodeInfo
from skep.model import defaults
from skep.model.node import Node
from skep.model.states import TaskState
from skep.model.task import Task, TaskStatus, with_status
from skep.store.change import Event, Update, View

_NODES_AT_ONCE = 20
_REASON = "assigned node no longer meets constraints"


class ConstraintEnforcer:
    """The room. Its keys are node ids."""

    name = "constraint enforcer"

    def everything(self, view: View) -> Iterable[str]:
        return [node.id for node in view.nodes()]

    def dirty(self, event: Event, view: View) -> Iterable[str]:
        old, new = event.old, event.new
        if not isinstance(new, Node) or not isinstance(old, Node):
            return ()
        return (new.id,) if _conditions(old) != _conditions(new) else ()

    def plan(
        self, view: View, seen: Seen, keys: frozenset[str], now: datetime, new_id: NewId
    ) -> Plan:
        in_order = sorted(keys)
        chosen, others = in_order[:_NODES_AT_ONCE], in_order[_NODES_AT_ONCE:]
        nodes = [node for key in chosen if (node := view.node(key)) is not None]
        misplaced = [task for node in nodes for task in _misplaced(view, node)]
        return Plan(
            tuple(Update(_rejected(task, now), why=_REASON) for task in misplaced),
            tuple(f"task {task.id} on node {task.node_id}: {_REASON}" for task in misplaced),
            wake=dict.fromkeys(others, now),
        )


def _conditions(node: Node) -> tuple[object, ...]:
    return (node.spec, node.description, node.certificate_role, node.status.addr)


def _misplaced(view: View, node: Node) -> list[Task]:
    """Tasks that may not stay: constraints not met, or more reserved than the node has.

    Where reservations exceed the node, the tasks that were there first stay.
    """
    if node.spec.availability != "active":
        return []
    left = NodeInfo(node.id)
    left.set_node(node)
    leaving: list[Task] = []
    for task in sorted(view.tasks_of_node(node.id), key=_seniority):
        if not _runs_on(task):
            continue
        need = request_of(task).need
        if _meets_constraints(view, task, node) and left.has_room_for(need):
            left.take(task, need)
        else:
            leaving.append(task)
    return leaving


def _seniority(task: Task) -> tuple[datetime, str]:
    return (task.created_at, task.id)


def _runs_on(task: Task) -> bool:
    placed = TaskState.ASSIGNED <= task.status.state <= TaskState.RUNNING
    return placed and task.desired_state <= TaskState.COMPLETE


def _meets_constraints(view: View, task: Task, node: Node) -> bool:
    service = view.service(task.service_id)
    spec = service.spec.task_template if service is not None else task.spec
    return matches(parse(defaults.placement(spec).constraints), node)


def _rejected(task: Task, now: datetime) -> Task:
    status = TaskStatus(
        timestamp=now,
        state=TaskState.REJECTED,
        message="task rejected by constraint enforcer",
        err=_REASON,
        container_status=task.status.container_status,
    )
    return with_status(task, status, now)
