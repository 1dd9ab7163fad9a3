"""The scheduler's running account of the cluster, so that a plan costs what changed.

It holds nothing that could not be counted afresh from a view: `Ledger.of(view)` and a ledger that
was told every event are equal (a property test says so).
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TypeVar

from skep.manager.faults import Faults
from skep.manager.scheduler.nodeinfo import NodeInfo, need_of, stands_on_node
from skep.model.node import Node
from skep.model.states import TaskState
from skep.model.task import Task, state_since
from skep.store.change import Event, Stored, View

Group = tuple[str, int, str]
"""Tasks that are alike: service id, spec version; a task without a service is alone (its id)."""

FAILURES_UNTIL_AVOIDED = 5
FAILURES_REMEMBERED = timedelta(minutes=5)


def group_of(task: Task) -> Group:
    return (task.service_id, task.spec_version.index, "" if task.service_id else task.id)


def waits_for_node(task: Task) -> bool:
    """Allocated, wanted, and not yet assigned. A global service's task has its node already."""
    return task.status.state is TaskState.PENDING and task.desired_state <= TaskState.COMPLETE


def takes_as_much(old: Task, new: Task) -> bool:
    """The task stands where it stood and has the same share of its node."""
    return (
        old.node_id == new.node_id
        and old.desired_state is new.desired_state
        and stands_on_node(old)
        and stands_on_node(new)
        and old.spec is new.spec
        and old.ports == new.ports
        and old.assigned_generic_resources == new.assigned_generic_resources
    )


def failed_on_node(task: Task) -> bool:
    return bool(task.node_id) and task.status.state in (TaskState.FAILED, TaskState.REJECTED)


class ClusterLedger:
    """Nodes with their sums, tasks that wait, recent failures."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.infos: dict[str, NodeInfo] = {}
        self.waiting: dict[Group, dict[str, Task]] = {}
        self._failures: dict[Group, dict[str, tuple[str, datetime]]] = {}
        self._in_order: list[NodeInfo] | None = None

    @classmethod
    def of(cls, view: View) -> ClusterLedger:
        """Counted afresh."""
        ledger = cls()
        for node in view.nodes():
            with ledger.faults.aside(f"node {node.id}"):
                ledger._set_node(node.id, node)
        for task in view.tasks():
            with ledger.faults.aside(f"task {task.id}"):
                ledger._add(task)
        return ledger

    @property
    def has_work(self) -> bool:
        return bool(self.waiting)

    def note(self, event: Event) -> None:
        """Follow one applied change."""
        old, new = event.old, event.new
        if isinstance(old, Task) or isinstance(new, Task):
            self._replace(old, new)
        elif isinstance(new, Node):
            self._set_node(new.id, new)
        elif isinstance(old, Node):
            self._set_node(old.id, None)

    def _replace(self, old: Stored | None, new: Stored | None) -> None:
        """Most changes are steps of tasks that take of their node what they took before."""
        if isinstance(old, Task) and isinstance(new, Task) and takes_as_much(old, new):
            return
        if isinstance(old, Task):
            self._remove(old)
        if isinstance(new, Task):
            self._add(new)

    def nodes(self) -> list[NodeInfo]:
        """The nodes that exist, by id; each knows its place as `index`."""
        if self._in_order is None:
            existing = [node_id for node_id, info in self.infos.items() if info.node is not None]
            self._in_order = [self.infos[node_id] for node_id in sorted(existing)]
            for index, info in enumerate(self._in_order):
                info.index = index
        return self._in_order

    def nodes_to_avoid(self, group: Group, now: datetime) -> frozenset[str]:
        """Ids of nodes on which tasks of the group failed often, not long ago."""
        failures = self._failures.get(group)
        if failures is None:
            return frozenset()
        oldest = now - FAILURES_REMEMBERED
        recent = Counter(node_id for node_id, moment in failures.values() if moment > oldest)
        return frozenset(
            node_id for node_id, times in recent.items() if times >= FAILURES_UNTIL_AVOIDED
        )

    def _set_node(self, node_id: str, node: Node | None) -> None:
        info = self._info(node_id)
        if (info.node is None) != (node is None):
            self._in_order = None
        info.set_node(node)
        self._forget_if_empty(node_id)

    def _add(self, task: Task) -> None:
        if stands_on_node(task):
            self._info(task.node_id).take(task, need_of(task))
        elif waits_for_node(task):
            self.waiting.setdefault(group_of(task), {})[task.id] = task
        elif failed_on_node(task):
            failures = self._failures.setdefault(group_of(task), {})
            failures[task.id] = (task.node_id, state_since(task))

    def _remove(self, task: Task) -> None:
        if stands_on_node(task):
            self._info(task.node_id).give(task, need_of(task))
            self._forget_if_empty(task.node_id)
        elif waits_for_node(task):
            _drop(self.waiting, group_of(task), task.id)
        elif failed_on_node(task):
            _drop(self._failures, group_of(task), task.id)

    def _info(self, node_id: str) -> NodeInfo:
        info = self.infos.get(node_id)
        if info is None:
            info = self.infos[node_id] = NodeInfo(node_id)
        return info

    def _forget_if_empty(self, node_id: str) -> None:
        info = self.infos[node_id]
        if info.node is None and not info.tasks:
            del self.infos[node_id]


_T = TypeVar("_T")


def _drop(table: dict[Group, dict[str, _T]], group: Group, task_id: str) -> None:
    members = table.get(group)
    if members is not None:
        members.pop(task_id, None)
        if not members:
            del table[group]
