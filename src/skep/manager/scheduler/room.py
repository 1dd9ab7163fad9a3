"""The scheduler: gives every allocated task a node, or says why none will do.

One plan places all tasks that wait, group by group. What does not find a node stays PENDING with
the reason in `status.err`, and is tried again whenever something changes that could help: it is
found in the store by its state, so it cannot be forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from datetime import datetime

from msgspec.structs import replace

from skep.manager.counting import CountingRoom
from skep.manager.faults import Faults
from skep.manager.room import Plan
from skep.manager.scheduler.candidates import (
    Chooser,
    Pick,
    Shortlist,
    binpack_resource,
    binpack_score,
    spread_descriptors,
    spread_score,
    tree,
)
from skep.manager.scheduler.filters import Demand, explain, passes_all, request_of, still_fits
from skep.manager.scheduler.ledger import ClusterLedger, Group, takes_as_much, waits_for_node
from skep.manager.scheduler.nodeinfo import NodeInfo, stands_on_node
from skep.manager.slices import share
from skep.model import defaults
from skep.model.node import Node
from skep.model.states import TaskState
from skep.model.task import Task, TaskStatus, task_name
from skep.store.change import Event, Update, View

Placements = Generator[NodeInfo, None, None]


class Scheduler(CountingRoom[ClusterLedger]):
    """The room."""

    name = "scheduler"

    def count(self, view: View) -> ClusterLedger:
        return ClusterLedger.of(view)

    def may_help(self, event: Event) -> bool:
        return _may_help(event)

    def decide(self, ledger: ClusterLedger, view: View, now: datetime) -> tuple[Plan, bool]:
        return _Attempt(ledger, now).plan()


def _may_help(event: Event) -> bool:
    """Whether a task that waits may find a node after this, or have another reason to wait."""
    old, new = event.old, event.new
    if isinstance(new, Task) and waits_for_node(new):
        return not (isinstance(old, Task) and waits_for_node(old))
    if isinstance(old, Task) and stands_on_node(old):
        return not (isinstance(new, Task) and takes_as_much(old, new))
    if isinstance(old, Node) or isinstance(new, Node):
        return _schedulable(old) != _schedulable(new)
    return False


def _schedulable(node: object) -> tuple[object, ...] | None:
    """What filters look at. A heartbeat changes none of it."""
    if not isinstance(node, Node):
        return None
    status = node.status
    return (node.spec, node.description, status.state, status.addr, node.certificate_role)


class _Attempt:
    """One plan in the making. What it places is taken in the ledger, and given back at the end."""

    def __init__(self, ledger: ClusterLedger, now: datetime) -> None:
        self._ledger = ledger
        self._now = now
        self._placed: list[tuple[NodeInfo, Task, Demand]] = []
        self._updates: list[Update] = []
        self._most = 0
        self._more = False
        self._explanations: list[str] = []
        self._shortlists: dict[Demand, Shortlist] = {}
        self._reasons: dict[Demand, tuple[int, str]] = {}
        self._faults = Faults(ledger.faults)

    def plan(self) -> tuple[Plan, bool]:
        try:
            most = share(len(self._ledger.waiting))
            for group, members in sorted(self._ledger.waiting.items()):
                self._most = len(self._updates) + most
                self._plan_group(group, members.values())
                self._more = self._more or not self._left
        finally:
            self._give_back(0)
        plan = Plan(tuple(self._updates), tuple(self._explanations), faults=self._faults)
        return plan, self._more

    @property
    def _left(self) -> int:
        """How many more changes of the group belong in this plan."""
        return max(0, self._most - len(self._updates))

    def _plan_group(self, group: Group, members: Iterable[Task]) -> None:
        """A group that cannot be planned holds up no other: nothing of it is placed."""
        placed, updates = len(self._placed), len(self._updates)
        explanations = len(self._explanations)
        with self._faults.aside(f"tasks of {group[0] or group[2]}"):
            tasks = sorted(members, key=lambda task: (task.slot, task.id))
            self._confirm([task for task in tasks if task.node_id])
            self._place(group, [task for task in tasks if not task.node_id])
            return
        self._give_back(placed)
        del self._updates[updates:], self._explanations[explanations:]
        self._shortlists.clear()
        self._reasons.clear()

    def _give_back(self, since: int) -> None:
        while len(self._placed) > since:
            info, task, request = self._placed.pop()
            info.give(task, request.need)

    def _confirm(self, tasks: list[Task]) -> None:
        """Global services' tasks come with their node: it only has to be able to take them."""
        for task in tasks:
            if not self._left:
                return
            request = request_of(task)
            info = self._ledger.infos.get(task.node_id) or NodeInfo(task.node_id)
            if passes_all(info, request) and _below_max_replicas(task)(info):
                message = "scheduler confirmed task can run on preassigned node"
                self._assign(task, info, request, self._status(message))
            else:
                self._refuse([task], explain([info], request))

    def _place(self, group: Group, tasks: list[Task]) -> None:
        if not tasks:
            return
        request = request_of(tasks[0])
        status = self._status("scheduler assigned task to node")
        waiting = iter(tasks[: self._left])
        placed = 0
        with closing(self._nodes_for(group, tasks[0], request)) as nodes:
            for info, task in zip(nodes, waiting, strict=False):
                self._assign(task, info, request, status)
                placed += 1
        if placed < len(tasks) and self._left:
            self._refuse(tasks[placed:], self._reason(request))

    def _nodes_for(self, group: Group, task: Task, request: Demand) -> Placements:
        """Nodes for the tasks of a group, best first; to be placed on one by one."""
        shortlist = self._shortlist(request)
        avoid = self._ledger.nodes_to_avoid(group, self._now)
        preferences = defaults.placement(task.spec).preferences
        if not preferences:
            yield from shortlist.unused_by(task.service_id, avoid)
        chooser = self._chooser(task, shortlist, avoid)
        while (info := chooser.next()) is not None:
            yield info

    def _chooser(self, task: Task, shortlist: Shortlist, avoid: frozenset[str]) -> Chooser:
        preferences = defaults.placement(task.spec).preferences
        resource = binpack_resource(preferences)
        score = binpack_score(resource, avoid) if resource else spread_score(task.service_id, avoid)
        below_max = _below_max_replicas(task)

        def fits(info: NodeInfo) -> bool:
            return (
                info.id in shortlist.ids and still_fits(info, shortlist.request) and below_max(info)
            )

        descriptors = spread_descriptors(preferences)
        infos = self._ledger.nodes() if descriptors else shortlist.infos
        return tree(descriptors, infos, task.service_id, lambda part: Pick(part, score, fits))

    def _shortlist(self, request: Demand) -> Shortlist:
        shortlist = self._shortlists.get(request)
        if shortlist is None:
            shortlist = Shortlist(self._ledger.nodes(), request)
            self._shortlists[request] = shortlist
        return shortlist

    def _assign(self, task: Task, info: NodeInfo, request: Demand, status: TaskStatus) -> None:
        assigned = replace(task, node_id=info.id, status=status)
        if request.need.generic:
            given = info.claim(request.need) or []
            assigned = replace(assigned, assigned_generic_resources=given)
        info.take(assigned, request.need)
        self._placed.append((info, assigned, request))
        self._updates.append(Update(assigned))

    def _refuse(self, tasks: list[Task], reason: str) -> None:
        """Say why on each task, once: an unchanged reason is no news."""
        news = [task for task in tasks if task.status.err != reason][: self._left]
        for task in news:
            self._updates.append(Update(replace(task, status=replace(task.status, err=reason))))
        if news:
            self._explanations.append(f"{task_name(news[0])} and {len(news) - 1} more: {reason}")

    def _reason(self, request: Demand) -> str:
        """The same for all groups with the same request, until something was placed."""
        placed, reason = self._reasons.get(request, (-1, ""))
        if placed != len(self._placed):
            reason = explain(self._ledger.nodes(), request)
            self._reasons[request] = (len(self._placed), reason)
        return reason

    def _status(self, message: str) -> TaskStatus:
        return TaskStatus(timestamp=self._now, state=TaskState.ASSIGNED, message=message)


def _below_max_replicas(task: Task) -> Callable[[NodeInfo], bool]:
    limit = defaults.placement(task.spec).max_replicas
    if not limit:
        return lambda info: True
    return lambda info: info.by_service.get(task.service_id, 0) < limit
