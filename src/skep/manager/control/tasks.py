"""What the API asks of tasks: it only reads them."""

from __future__ import annotations

from collections.abc import Iterable

from skep.kit.clock import utc_now
from skep.kit.errors import NotFound
from skep.kit.ids import new_id
from skep.manager.control import filters as by
from skep.manager.control import resolve
from skep.manager.control.filters import NO_FILTERS, Filters
from skep.manager.orchestrator.scene import Scene
from skep.manager.orchestrator.stale import Staleness
from skep.model.states import TaskState
from skep.model.task import Task, task_name
from skep.store.change import View
from skep.store.store import Store

_FILTERS = (
    "_up-to-date",
    "desired-state",
    "id",
    "label",
    "name",
    "node",
    "runtime",
    "service",
)
_DESIRED = {
    "running": TaskState.RUNNING,
    "shutdown": TaskState.SHUTDOWN,
    "accepted": TaskState.ACCEPTED,
    "ready": TaskState.READY,
    "complete": TaskState.COMPLETE,
    "remove": TaskState.REMOVE,
}


class Tasks:
    """Tasks by id, name (`web.1.<id>`) or id prefix."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, reference: str) -> Task:
        return resolve.task(self._store.view, reference)

    def find(self, filters: Filters = NO_FILTERS) -> list[Task]:
        """Tasks by id; filters id, name, label (of the service: `docker stack ps` needs it),
        service, node, desired-state, runtime, _up-to-date (made from the service's spec of now:
        docker's progress bars need it).

        Raises NotFound for a service or node that does not exist.
        """
        by.check_keys(filters, _FILTERS)
        view = self._store.view
        desired = {_DESIRED[word] for word in by.one_of(filters, "desired-state", _DESIRED)}
        up_to_date = by.boolean(filters, "_up-to-date")
        return [
            task
            for task in _scope(view, filters)
            if by.has_prefix(filters, "id", task.id)
            and by.has_prefix(filters, "name", task_name(task))
            and by.has_labels(filters, "label", task.service_annotations.labels)
            and by.is_among(filters, "runtime", task.spec.runtime or "container")
            and (not desired or task.desired_state in desired)
            and (up_to_date is None or _is_up_to_date(view, task) is up_to_date)
        ]


def _scope(view: View, filters: Filters) -> Iterable[Task]:
    """The smallest listing that has all the tasks of the wished services and nodes."""
    services = _ids(view, filters, "service")
    nodes = _ids(view, filters, "node")
    if services is None and nodes is None:
        return view.tasks()
    if services is None:
        return _sorted(task for node in nodes or () for task in view.tasks_of_node(node))
    tasks = (task for service in services for task in view.tasks_of_service(service))
    return _sorted(task for task in tasks if nodes is None or task.node_id in nodes)


def _sorted(tasks: Iterable[Task]) -> list[Task]:
    return sorted(tasks, key=lambda task: task.id)


def _ids(view: View, filters: Filters, key: str) -> set[str] | None:
    """The ids behind the references given; None when the filter was not given.

    A service that is gone may still have tasks: its whole id is enough to ask for them.
    """
    if key not in filters:
        return None
    found = set()
    for reference in filters[key]:
        try:
            chosen = resolve.service if key == "service" else resolve.node
            found.add(chosen(view, reference).id)
        except NotFound:
            tasks = view.tasks_of_service if key == "service" else view.tasks_of_node
            if not tasks(reference):
                raise
            found.add(reference)
    return found


def _is_up_to_date(view: View, task: Task) -> bool:
    """As the orchestrator sees it: a change of labels makes no task stale."""
    service = view.service(task.service_id)
    if service is None:
        return False
    return not Staleness(Scene(service, view, utc_now(), new_id)).stale(task)
