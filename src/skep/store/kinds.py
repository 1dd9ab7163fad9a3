"""The kinds of objects that the store keeps: one row each.

A row is all that the store knows of a kind: its name, its class, which name must be its own, and by
what its objects are looked up. To add one: its row, its class in `Stored`, and the words by which
readers ask for it (`View` in `change.py`, `memory.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeAlias, TypeVar

from skep.model.cluster import Cluster, ClusterSecrets
from skep.model.network import Network
from skep.model.node import Node
from skep.model.service import RegistryAuth, Service
from skep.model.task import Task

Stored: TypeAlias = Service | Task | Node | Network | Cluster | ClusterSecrets | RegistryAuth
"""An object of any kind."""

T = TypeVar("T", bound=Stored)

By: TypeAlias = Callable[[T], Hashable]
"""What an object is looked up by; None, or "", when it is not to be found that way."""


class Kind(Generic[T]):
    """`unique_name` is a name that no two objects of the kind may have."""

    def __init__(
        self,
        name: str,
        cls: type[T],
        *,
        unique_name: Callable[[T], str] | None = None,
        by: tuple[By[T], ...] = (),
    ) -> None:
        self.name = name
        self.cls = cls
        self.unique_name = unique_name
        self.by = by if unique_name is None else (unique_name, *by)


def service_name(service: Service) -> str:
    return service.spec.name


def network_name(network: Network) -> str:
    return network.spec.name


def hostname(node: Node) -> str:
    return node.description.hostname


def task_service(task: Task) -> str:
    return task.service_id


def task_slot(task: Task) -> tuple[str, int]:
    return task.service_id, task.slot


def task_node(task: Task) -> str:
    return task.node_id


SERVICE = Kind("service", Service, unique_name=service_name)
TASK = Kind("task", Task, by=(task_service, task_slot, task_node))
NODE = Kind("node", Node, by=(hostname,))
NETWORK = Kind("network", Network, unique_name=network_name)
CLUSTER = Kind("cluster", Cluster)
CLUSTER_SECRETS = Kind("cluster-secrets", ClusterSecrets)
REGISTRY_AUTH = Kind("registry-auth", RegistryAuth)

KINDS: dict[str, Kind[Any]] = {
    kind.name: kind
    for kind in (SERVICE, TASK, NODE, NETWORK, CLUSTER, CLUSTER_SECRETS, REGISTRY_AUTH)
}
_BY_CLASS: dict[type, Kind[Any]] = {kind.cls: kind for kind in KINDS.values()}


def kind_of(stored: Stored) -> Kind[Any]:
    return _BY_CLASS[type(stored)]
