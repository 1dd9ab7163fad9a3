"""The store's memory: a table for each kind, with its indexes, and the `View` that everybody reads.

Objects are immutable, so a listing can be kept while later commits go on. `apply` is the only way
in; it is called by who owns the view, in revision order, once the log has the commit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from functools import partial
from typing import Any, Generic, TypeVar, cast

from skep.model.cluster import Cluster, ClusterSecrets
from skep.model.network import Network
from skep.model.node import Node
from skep.model.service import RegistryAuth, Service
from skep.model.task import Task
from skep.store import kinds
from skep.store.change import Event
from skep.store.kinds import KINDS, By, Kind, Stored, kind_of

T = TypeVar("T", bound=Stored)


class Table(Generic[T]):
    """All objects of one kind, by id and by whatever else they are looked up by."""

    def __init__(self, kind: Kind[T]) -> None:
        self.rows: dict[str, T] = {}
        self._unique_name = kind.unique_name
        self._tally = kind.tally
        self._tallies: defaultdict[Hashable, defaultdict[Hashable, int]] = defaultdict(
            partial(defaultdict, int)
        )
        self._indexes: dict[By[T], dict[Hashable, dict[str, T]]] = {by: {} for by in kind.by}

    def put(self, old: T | None, new: T) -> None:
        self.rows[new.id] = new
        if self._tally is not None:
            self._count(self._tally(old) if old is not None else None, self._tally(new))
        for by, index in self._indexes.items():
            key = by(new)
            if old is not None and (before := by(old)) != key:
                _forget(index, before, new.id)
            if key:
                group = index.get(key)
                if group is None:
                    index[key] = {new.id: new}
                else:
                    group[new.id] = new

    def drop(self, old: T) -> None:
        self.rows.pop(old.id, None)
        if self._tally is not None:
            self._count(self._tally(old), None)
        for by, index in self._indexes.items():
            _forget(index, by(old), old.id)

    def all(self) -> list[T]:
        return _by_id(self.rows)

    def where(self, by: By[T], key: Hashable) -> list[T]:
        group = self._indexes[by].get(key)
        return _by_id(group) if group else []

    def count(self, by: By[T], key: Hashable) -> int:
        return len(self._indexes[by].get(key, ()))

    def tally(self, group: Hashable) -> Mapping[Hashable, int]:
        """How many objects count as what (`Kind.tally`)."""
        return dict(self._tallies.get(group, ()))

    def named(self, name: str) -> T | None:
        """The one object of that name, where names are unique (`Kind.unique_name`)."""
        assert self._unique_name is not None
        group = self._indexes[self._unique_name].get(name)
        return next(iter(group.values())) if group else None

    def _count(
        self, old: tuple[Hashable, Hashable] | None, new: tuple[Hashable, Hashable] | None
    ) -> None:
        if old == new:
            return
        if new is not None:
            self._tallies[new[0]][new[1]] += 1
        if old is not None:
            group = self._tallies[old[0]]
            group[old[1]] -= 1
            if not group[old[1]]:
                del group[old[1]]
            if not group:
                del self._tallies[old[0]]

    def the_only(self) -> T | None:
        return next(iter(self.rows.values()), None)


class MemoryView:
    """Is a `View`."""

    def __init__(self, objects: Iterable[Stored] = (), revision: int = 0) -> None:
        self._revision = revision
        self._tables: dict[str, Table[Any]] = {kind.name: Table(kind) for kind in KINDS.values()}
        for stored in objects:
            self.table(kind_of(stored)).put(None, stored)

    def table(self, kind: Kind[T]) -> Table[T]:
        return self._tables[kind.name]

    @property
    def revision(self) -> int:
        return self._revision

    def apply(self, revision: int, events: Iterable[Event]) -> None:
        for event in events:
            table = self._tables[event.kind]
            if event.new is not None:
                table.put(event.old, event.new)
            elif event.old is not None:
                table.drop(event.old)
        self._revision = revision

    def become(self, other: MemoryView) -> None:
        """Hold what `other` holds, which nobody may use any more. For who read it all anew."""
        self._tables, self._revision = other._tables, other._revision

    def get(self, kind: str, object_id: str) -> Stored | None:
        return self._tables[kind].rows.get(object_id)

    def all(self) -> list[Stored]:
        return [stored for table in self._tables.values() for stored in table.rows.values()]

    def by_id_prefix(self, kind: str, prefix: str) -> list[Stored]:
        rows = self._tables[kind].rows
        return [rows[key] for key in sorted(key for key in rows if key.startswith(prefix))]

    # Each kind by its readers' words

    def service(self, service_id: str) -> Service | None:
        return self.table(kinds.SERVICE).rows.get(service_id)

    def task(self, task_id: str) -> Task | None:
        return self.table(kinds.TASK).rows.get(task_id)

    def node(self, node_id: str) -> Node | None:
        return self.table(kinds.NODE).rows.get(node_id)

    def network(self, network_id: str) -> Network | None:
        return self.table(kinds.NETWORK).rows.get(network_id)

    def registry_auth(self, service_id: str) -> RegistryAuth | None:
        return self.table(kinds.REGISTRY_AUTH).rows.get(service_id)

    def cluster(self) -> Cluster | None:
        return self.table(kinds.CLUSTER).the_only()

    def cluster_secrets(self) -> ClusterSecrets | None:
        return self.table(kinds.CLUSTER_SECRETS).the_only()

    def services(self) -> list[Service]:
        return self.table(kinds.SERVICE).all()

    def tasks(self) -> list[Task]:
        return self.table(kinds.TASK).all()

    def nodes(self) -> list[Node]:
        return self.table(kinds.NODE).all()

    def networks(self) -> list[Network]:
        return self.table(kinds.NETWORK).all()

    def service_named(self, name: str) -> Service | None:
        return self.table(kinds.SERVICE).named(name)

    def network_named(self, name: str) -> Network | None:
        return self.table(kinds.NETWORK).named(name)

    def nodes_named(self, hostname: str) -> list[Node]:
        return self.table(kinds.NODE).where(kinds.hostname, hostname)

    def tasks_of_service(self, service_id: str) -> list[Task]:
        return self.table(kinds.TASK).where(kinds.task_service, service_id)

    def number_of_tasks(self, service_id: str) -> int:
        return self.table(kinds.TASK).count(kinds.task_service, service_id)

    def progress_of_service(self, service_id: str) -> Mapping[tuple[str, bool], int]:
        tally = self.table(kinds.TASK).tally(service_id)
        return cast(Mapping[tuple[str, bool], int], tally)

    def tasks_of_slot(self, service_id: str, slot: int) -> list[Task]:
        return self.table(kinds.TASK).where(kinds.task_slot, (service_id, slot))

    def tasks_of_node(self, node_id: str) -> list[Task]:
        return self.table(kinds.TASK).where(kinds.task_node, node_id)


def _by_id(rows: dict[str, T]) -> list[T]:
    """By id. The rows stay in that order, so that the next time there is little to sort."""
    if len(rows) < 2:
        return list(rows.values())
    keys = list(rows)
    ordered = sorted(keys)
    if ordered != keys:
        sorted_rows = [(key, rows[key]) for key in ordered]
        rows.clear()
        rows.update(sorted_rows)
    return list(rows.values())


def _forget(index: dict[Hashable, dict[str, T]], key: Hashable, object_id: str) -> None:
    group = index.get(key)
    if group is not None:
        group.pop(object_id, None)
        if not group:
            del index[key]
