"""Changes to the store, and what watchers are told of them: values, nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol, TypeAlias

import msgspec

from skep.model.cluster import Cluster, ClusterSecrets
from skep.model.network import Network
from skep.model.node import Node
from skep.model.service import RegistryAuth, Service
from skep.model.task import Task
from skep.store.kinds import Stored as Stored


class Create(msgspec.Struct, frozen=True, gc=False):
    """A new object. Its version and times are set by the commit."""

    new: Stored
    why: str = ""


class Update(msgspec.Struct, frozen=True, gc=False):
    """The object as it should be. Its `version` must be the stored one, or it is refused."""

    new: Stored
    why: str = ""


class Delete(msgspec.Struct, frozen=True, gc=False):
    """The object as it was read, to be forgotten. Refused if it changed since."""

    old: Stored
    why: str = ""


Change: TypeAlias = Create | Update | Delete
Action: TypeAlias = Literal["create", "update", "remove"]


class Event(msgspec.Struct, frozen=True, gc=False):
    """One applied change: `old` is None at birth, `new` is None at the end."""

    kind: str
    action: Action
    old: Stored | None
    new: Stored | None
    why: str = ""


class Commit(msgspec.Struct, frozen=True, gc=False):
    """What one revision changed, in order."""

    revision: int
    events: tuple[Event, ...]


class View(Protocol):
    """The store as a planner reads it: whole, consistent, never leaving memory.

    Iteration order of every listing is by id, so equal states give equal plans. Listings are
    snapshots: they may be kept across later commits.
    """

    @property
    def revision(self) -> int: ...

    def all(self) -> Iterable[Stored]: ...

    def service(self, service_id: str) -> Service | None: ...
    def task(self, task_id: str) -> Task | None: ...
    def node(self, node_id: str) -> Node | None: ...
    def network(self, network_id: str) -> Network | None: ...
    def registry_auth(self, service_id: str) -> RegistryAuth | None: ...
    def cluster(self) -> Cluster | None: ...
    def cluster_secrets(self) -> ClusterSecrets | None: ...

    def services(self) -> list[Service]: ...
    def tasks(self) -> list[Task]: ...
    def nodes(self) -> list[Node]: ...
    def networks(self) -> list[Network]: ...

    def service_named(self, name: str) -> Service | None: ...
    def network_named(self, name: str) -> Network | None: ...
    def nodes_named(self, hostname: str) -> list[Node]: ...

    def tasks_of_service(self, service_id: str) -> list[Task]: ...
    def number_of_tasks(self, service_id: str) -> int: ...
    def progress_of_service(self, service_id: str) -> Mapping[tuple[str, bool], int]:
        """How many of its tasks are to run, by node and by whether they do."""
        ...

    def tasks_of_slot(self, service_id: str, slot: int) -> list[Task]: ...
    def tasks_of_node(self, node_id: str) -> list[Task]: ...

    def by_id_prefix(self, kind: str, prefix: str) -> Iterable[Stored]: ...
