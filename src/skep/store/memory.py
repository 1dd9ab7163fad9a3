"""The store's memory: tables by kind, indexes, and the `View` that everybody reads.

Objects are immutable, so a listing can be kept while later commits go on. `apply` is the only way
in; it is called by the store's single writer, in revision order, after the log has the commit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TypeVar, cast

from skep.model.cluster import Cluster, ClusterSecrets
from skep.model.network import Network
from skep.model.node import Node
from skep.model.service import RegistryAuth, Service
from skep.model.task import Task
from skep.store.change import KIND_OF, KINDS, Event, Stored

_T = TypeVar("_T")


class MemoryView:
    """All objects, by id and by the indexes that planners and the API read. Is a `View`."""

    def __init__(self, objects: Iterable[Stored] = (), revision: int = 0) -> None:
        self._revision = revision
        self._tables: dict[str, dict[str, Stored]] = {kind: {} for kind in KINDS}
        self._service_names: dict[str, str] = {}
        self._network_names: dict[str, str] = {}
        self._tasks_by_service: defaultdict[str, dict[str, Task]] = defaultdict(dict)
        self._tasks_by_slot: defaultdict[tuple[str, int], dict[str, Task]] = defaultdict(dict)
        self._tasks_by_node: defaultdict[str, dict[str, Task]] = defaultdict(dict)
        for stored in objects:
            self._put(None, stored)

    @property
    def revision(self) -> int:
        return self._revision

    def apply(self, revision: int, events: Iterable[Event]) -> None:
        for event in events:
            if event.new is not None:
                self._put(event.old, event.new)
            elif event.old is not None:
                self._drop(event.old)
        self._revision = revision

    def get(self, kind: str, object_id: str) -> Stored | None:
        return self._tables[kind].get(object_id)

    def all(self) -> Iterable[Stored]:
        for table in self._tables.values():
            yield from table.values()

    def service(self, service_id: str) -> Service | None:
        return cast(Service | None, self._tables["service"].get(service_id))

    def task(self, task_id: str) -> Task | None:
        return cast(Task | None, self._tables["task"].get(task_id))

    def node(self, node_id: str) -> Node | None:
        return cast(Node | None, self._tables["node"].get(node_id))

    def network(self, network_id: str) -> Network | None:
        return cast(Network | None, self._tables["network"].get(network_id))

    def registry_auth(self, service_id: str) -> RegistryAuth | None:
        return cast(RegistryAuth | None, self._tables["registry-auth"].get(service_id))

    def cluster(self) -> Cluster | None:
        return cast(Cluster | None, next(iter(self._tables["cluster"].values()), None))

    def cluster_secrets(self) -> ClusterSecrets | None:
        table = self._tables["cluster-secrets"]
        return cast(ClusterSecrets | None, next(iter(table.values()), None))

    def services(self) -> list[Service]:
        return cast(list[Service], _by_id(self._tables["service"]))

    def tasks(self) -> list[Task]:
        return cast(list[Task], _by_id(self._tables["task"]))

    def nodes(self) -> list[Node]:
        return cast(list[Node], _by_id(self._tables["node"]))

    def networks(self) -> list[Network]:
        return cast(list[Network], _by_id(self._tables["network"]))

    def service_named(self, name: str) -> Service | None:
        return self.service(self._service_names.get(name, ""))

    def network_named(self, name: str) -> Network | None:
        return self.network(self._network_names.get(name, ""))

    def nodes_named(self, hostname: str) -> list[Node]:
        return [node for node in self.nodes() if node.description.hostname == hostname]

    def tasks_of_service(self, service_id: str) -> list[Task]:
        return _by_id(self._tasks_by_service.get(service_id, {}))

    def tasks_of_slot(self, service_id: str, slot: int) -> list[Task]:
        return _by_id(self._tasks_by_slot.get((service_id, slot), {}))

    def tasks_of_node(self, node_id: str) -> list[Task]:
        return _by_id(self._tasks_by_node.get(node_id, {}))

    def by_id_prefix(self, kind: str, prefix: str) -> list[Stored]:
        table = self._tables[kind]
        return [table[key] for key in sorted(table) if key.startswith(prefix)]

    def _put(self, old: Stored | None, new: Stored) -> None:
        self._tables[KIND_OF[type(new)]][new.id] = new
        if isinstance(new, Task):
            if isinstance(old, Task) and old.node_id != new.node_id:
                self._forget_place(old)
            self._tasks_by_service[new.service_id][new.id] = new
            self._tasks_by_slot[new.service_id, new.slot][new.id] = new
            if new.node_id:
                self._tasks_by_node[new.node_id][new.id] = new
        elif isinstance(new, Service):
            if isinstance(old, Service):
                self._service_names.pop(old.spec.name, None)
            self._service_names[new.spec.name] = new.id
        elif isinstance(new, Network):
            self._network_names[new.spec.name] = new.id

    def _drop(self, old: Stored) -> None:
        self._tables[KIND_OF[type(old)]].pop(old.id, None)
        if isinstance(old, Task):
            self._forget_place(old)
            _remove(self._tasks_by_service, old.service_id, old.id)
            _remove(self._tasks_by_slot, (old.service_id, old.slot), old.id)
        elif isinstance(old, Service):
            self._service_names.pop(old.spec.name, None)
        elif isinstance(old, Network):
            self._network_names.pop(old.spec.name, None)

    def _forget_place(self, task: Task) -> None:
        if task.node_id:
            _remove(self._tasks_by_node, task.node_id, task.id)


def _by_id(table: dict[str, _T]) -> list[_T]:
    return [table[key] for key in sorted(table)]


_K = TypeVar("_K")


def _remove(index: defaultdict[_K, dict[str, Task]], key: _K, task_id: str) -> None:
    group = index.get(key)
    if group is not None:
        group.pop(task_id, None)
        if not group:
            del index[key]
