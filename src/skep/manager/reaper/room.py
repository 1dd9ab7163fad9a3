"""The reaper as the loop drives it. A key is one slot: `<service id>/<number>/<node id>`, of which
only one is set."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from skep.manager.observations import Seen
from skep.manager.reaper import history
from skep.manager.room import NewId, Plan
from skep.model.cluster import Cluster, OrchestrationConfig
from skep.model.node import Node
from skep.model.service import Service
from skep.model.task import Task, with_status
from skep.store.change import Change, Delete, Event, Update, View


class Reaper:
    """Forgets what nobody needs. Is a `Room`."""

    name = "reaper"

    def dirty(self, event: Event, view: View) -> Iterable[str]:
        match event.new or event.old:
            case Task() as task if event.new is not None:
                return (_key(task),) if _grows(event, task, view) or history.over(task) else ()
            case Node() as node if _hope_changed(event):
                return {_key(task) for task in view.tasks_of_node(node.id)}
            case Service() as service if _keeps_less(event):
                return {_key(task) for task in view.tasks_of_service(service.id)}
            case Cluster():
                return self.everything(view)
        return ()

    def everything(self, view: View) -> Iterable[str]:
        return {_key(task) for task in view.tasks()}

    def plan(
        self, view: View, seen: Seen, keys: frozenset[str], now: datetime, new_id: NewId
    ) -> Plan:
        cluster = view.cluster()
        settings = cluster.spec.orchestration if cluster else OrchestrationConfig()
        changes: list[Change] = []
        wake: dict[str, datetime] = {}
        for key in sorted(keys):
            tasks = _tasks_of(view, key)
            lost = [task for task in tasks if _is_given_up(view, task, now)]
            changes += (_give_up(view, task, now) for task in lost)
            service = view.service(key.partition("/")[0])
            forgotten = history.to_forget(tasks, service, settings.task_history_retention_limit)
            changes += (Delete(task, why="history") for task in forgotten)
            hopes = [moment for task in tasks if (moment := _given_up_at(view, task, now))]
            later = [moment for moment in hopes if moment > now]
            if later:
                wake[key] = min(later)
        return Plan(tuple(changes), wake=wake)


def _grows(event: Event, task: Task, view: View) -> bool:
    """The slot has one task more than before, and not only this one."""
    if event.old is not None:
        return False
    return not task.slot or len(view.tasks_of_slot(task.service_id, task.slot)) > 1


def _key(task: Task) -> str:
    return f"{task.service_id}/{task.slot}/{'' if task.slot else task.node_id}"


def _tasks_of(view: View, key: str) -> list[Task]:
    """The slot's tasks, oldest first."""
    service_id, slot, node_id = key.split("/")
    tasks = view.tasks_of_slot(service_id, int(slot))
    if node_id:
        tasks = [task for task in view.tasks_of_node(node_id) if task.service_id == service_id]
    return sorted(tasks, key=lambda task: (task.created_at, task.id))


def _given_up_at(view: View, task: Task, now: datetime) -> datetime | None:
    return history.given_up_at(task, view.node(task.node_id), now)


def _is_given_up(view: View, task: Task, now: datetime) -> bool:
    moment = _given_up_at(view, task, now)
    return moment is not None and moment <= now


def _give_up(view: View, task: Task, now: datetime) -> Update:
    status = history.orphaned(view.node(task.node_id), now)
    return Update(with_status(task, status, now), why=status.err)


def _keeps_less(event: Event) -> bool:
    """An update that needed evidence is over, or fewer attempts are to be seen."""
    if not isinstance(event.old, Service) or not isinstance(event.new, Service):
        return False
    if history.updating(event.old) and not history.updating(event.new):
        return True
    return history.retention(event.old, 0) != history.retention(event.new, 0)


def _hope_changed(event: Event) -> bool:
    """The node went down, came back, or was removed."""
    if not isinstance(event.new, Node) or not isinstance(event.old, Node):
        return True
    return event.new.down_since != event.old.down_since
