"""The orchestrator as the loop drives it. Its keys are ids of services, also of removed ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from skep.manager.orchestrator import drain, global_, rebalance, removal, replicated, update
from skep.manager.orchestrator.draft import Draft, share
from skep.manager.orchestrator.scene import Scene
from skep.manager.orchestrator.settle import Settler
from skep.manager.orchestrator.slots import slots_of
from skep.manager.orchestrator.stale import Staleness
from skep.manager.room import NewId, Plan
from skep.model import defaults
from skep.model.node import Node, alive, eligible
from skep.model.service import Service
from skep.model.states import TaskState
from skep.model.task import Task
from skep.store.change import Change, Event, View


class Orchestrator:
    """Keeps services as wanted. Is a `Room`."""

    name = "orchestrator"

    def dirty(self, event: Event, view: View) -> Iterable[str]:
        match event.new or event.old:
            case Service() as service:
                return (service.id,)
            case Task() as task:
                return (task.service_id,) if _matters(event, task, view) else ()
            case Node() as node:
                return _services_near(event, node, view)
        return ()

    def everything(self, view: View) -> Iterable[str]:
        return {service.id for service in view.services()} | {
            task.service_id for task in view.tasks() if task.service_id
        }

    def plan(self, view: View, keys: frozenset[str], now: datetime, new_id: NewId) -> Plan:
        changes: list[Change] = []
        explanations: list[str] = []
        wake: dict[str, datetime] = {}
        most = share(len(keys))
        for service_id in sorted(keys):
            service = view.service(service_id)
            if service is None:
                leaving = removal.remove_all(view.tasks_of_service(service_id))
                changes += leaving[:most]
                if len(leaving) > most:
                    wake[service_id] = now
                continue
            draft = draft_of(Scene(service, view, now, new_id), most)
            changes += draft.changes()
            explanations += draft.explanations()
            if draft.wake_at is not None:
                wake[service_id] = draft.wake_at
        return Plan(tuple(changes), tuple(explanations), wake)


def draft_of(scene: Scene, most: int) -> Draft:
    """What one service needs, or about `most` of it."""
    draft = Draft(scene, most)
    staleness = Staleness(scene.service, scene.view)
    settler = Settler(draft, staleness)
    slots = slots_of(scene.view.tasks_of_service(scene.service.id))
    match defaults.mode_name(scene.service.spec):
        case "replicated":
            kept, new = replicated.resize(slots, draft)
            settled = [*map(settler.settle, kept), *new]
            settled = update.advance(settled, staleness, draft)
            settled = drain.advance(settled, settler, draft)
            rebalance.advance(settled, settler, draft)
        case "global":
            kept, new = global_.spread(slots, staleness, draft)
            update.advance([*map(settler.settle, kept), *new], staleness, draft)
    return draft


def _matters(event: Event, task: Task, view: View) -> bool:
    """Whether what happened to a task can change the plan of its service.

    Most steps of a task's life cannot, and a service can have thousands of tasks.
    """
    if event.old is None:
        return False
    if event.new is None:
        return not task.status.state.dead
    before = event.old
    assert isinstance(before, Task)
    if task.node_id != before.node_id and not _alive(task.node_id, view):
        return True
    if task.status.state is before.status.state:
        return False
    return task.status.state.dead or (
        task.status.state is TaskState.RUNNING and _awaited(task, view)
    )


def _alive(node_id: str, view: View) -> bool:
    node = view.node(node_id)
    return node is not None and alive(node)


def _awaited(task: Task, view: View) -> bool:
    """Something waits for the task to run: an update or a drain, or other tasks of its slot."""
    service = view.service(task.service_id)
    if service is None:
        return False
    if service.update_status is not None and service.update_status.state in update.UNDER_WAY:
        return True
    if task.origin in ("drain", "rebalance"):
        return True
    if task.slot:
        return len(view.tasks_of_slot(task.service_id, task.slot)) > 1
    near = view.tasks_of_node(task.node_id)
    return sum(other.service_id == task.service_id for other in near) > 1


def _services_near(event: Event, node: Node, view: View) -> Iterator[str]:
    """Services that a change of the node concerns."""
    before = event.old if event.new is not None else None
    if isinstance(before, Node) and _same_to_its_tasks(before, node):
        if before.status.state == node.status.state:
            return
    else:
        for task in view.tasks_of_node(node.id):
            yield task.service_id
    arrived = eligible(node) and not (isinstance(before, Node) and eligible(before))
    for service in view.services():
        if defaults.is_global(service.spec) or (arrived and rebalance.asked_for(service)):
            yield service.id


def _same_to_its_tasks(before: Node, after: Node) -> bool:
    """Whether it is lost counts, not whether it was heard yet: after a manager's start all nodes
    are heard one after the other, and a plan looks at all tasks of a service."""
    return (
        (before.status.state == "down") == (after.status.state == "down")
        and before.status.addr == after.status.addr
        and before.spec == after.spec
        and before.certificate_role == after.certificate_role
        and before.description.hostname == after.description.hostname
        and before.description.platform == after.description.platform
        and before.description.engine.labels == after.description.engine.labels
    )
