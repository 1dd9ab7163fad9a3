"""What doors ask of tasks: they only read them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from skep.kit.errors import NotFound
from skep.kit.unhurried import unhurried
from skep.kit.where import Where, anything
from skep.manager.control import resolve
from skep.manager.orchestrator.stale import Staleness
from skep.model.node import Node
from skep.model.service import Service
from skep.model.task import Task
from skep.store.change import View
from skep.store.store import Store

_LOOKS = 5_000
"""At so many tasks at a time: 10 ms."""


class Tasks:
    """Tasks by id, name (`web.1.<id>`) or id prefix."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, reference: str) -> Task:
        return resolve.task(self._store.view, reference)

    async def find(
        self,
        where: Where[Task] = anything,
        *,
        services: Collection[str] | None = None,
        nodes: Collection[str] | None = None,
        up_to_date: bool | None = None,
    ) -> list[Task]:
        """Tasks by id; of these services and on these nodes (references), and made from the spec
        that their service has now, or not, when that is asked.

        There may be very many: others have their turn meanwhile, and what is found is as it was
        when this was asked. Raises NotFound for a service or node that does not exist.
        """
        view = self._store.view
        is_up_to_date = _UpToDate(view)
        found: list[Task] = []
        async for tasks in unhurried(_scope(view, services, nodes), _LOOKS):
            found += [
                task
                for task in tasks
                if where(task) and (up_to_date is None or is_up_to_date(task) is up_to_date)
            ]
        return found


def _scope(
    view: View, services: Collection[str] | None, nodes: Collection[str] | None
) -> Sequence[Task]:
    """The smallest listing that has all the tasks of the wished services and nodes."""
    service_ids = _ids(services, partial(resolve.service, view), view.tasks_of_service)
    node_ids = _ids(nodes, partial(resolve.node, view), view.tasks_of_node)
    if service_ids is None and node_ids is None:
        return view.tasks()
    if service_ids is None:
        return _sorted(task for node in node_ids or () for task in view.tasks_of_node(node))
    tasks = (task for service in service_ids for task in view.tasks_of_service(service))
    return _sorted(task for task in tasks if node_ids is None or task.node_id in node_ids)


def _sorted(tasks: Iterable[Task]) -> list[Task]:
    return sorted(tasks, key=lambda task: task.id)


def _ids(
    references: Collection[str] | None,
    chosen: Callable[[str], Service | Node],
    tasks: Callable[[str], list[Task]],
) -> set[str] | None:
    """The ids behind the references; None when none were asked for.

    A service that is gone may still have tasks: its whole id is enough to ask for them.
    """
    if references is None:
        return None
    found = set()
    for reference in references:
        try:
            found.add(chosen(reference).id)
        except NotFound:
            if not tasks(reference):
                raise
            found.add(reference)
    return found


class _UpToDate:
    """As the orchestrator sees it: a change of labels makes no task stale."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._staleness: dict[str, Staleness] = {}

    def __call__(self, task: Task) -> bool:
        staleness = self._staleness.get(task.service_id)
        if staleness is None:
            service = self._view.service(task.service_id)
            if service is None:
                return False
            staleness = self._staleness[task.service_id] = Staleness(service, self._view)
        return not staleness.stale(task)
