"""What the API asks of tasks: it only reads them."""

from __future__ import annotations

from skep.manager.control.filters import NO_FILTERS, Filters
from skep.manager.control.writer import Store
from skep.model.task import Task


class Tasks:
    """Tasks by id, name (`web.1.<id>`) or id prefix."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, reference: str) -> Task:
        raise NotImplementedError

    def find(self, filters: Filters = NO_FILTERS) -> list[Task]:
        """Tasks by id; filters id, name, label, service, node, desired-state, runtime,
        _up-to-date (made from the service's spec of now: docker's progress bars need it)."""
        raise NotImplementedError
