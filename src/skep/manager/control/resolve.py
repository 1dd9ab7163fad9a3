"""Which object a person means: exact id, then exact name, then the start of an id.

Every function raises NotFound ("service x not found") or, when several would do, InvalidArgument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar, cast

from skep.kit.errors import InvalidArgument, NotFound
from skep.kit.meant import meant
from skep.model.network import Network
from skep.model.node import Node
from skep.model.service import Service
from skep.model.task import Task, task_name
from skep.store.change import View

_T = TypeVar("_T", Service, Node, Task, Network)


def service(view: View, reference: str) -> Service:
    return _only(view, "service", reference, view.service, _one(view.service_named))


def network(view: View, reference: str) -> Network:
    return _only(view, "network", reference, view.network, _one(view.network_named))


def node(view: View, reference: str) -> Node:
    """By id, hostname or id prefix."""
    return _only(view, "node", reference, view.node, view.nodes_named)


def task(view: View, reference: str) -> Task:
    """By id, full name (`web.1.<id>`) or id prefix."""

    def named(name: str) -> list[Task]:
        found = view.task(name.rpartition(".")[2])
        return [found] if found is not None and task_name(found) == name else []

    return _only(view, "task", reference, view.task, named)


def _only(
    view: View,
    kind: str,
    reference: str,
    by_id: Callable[[str], _T | None],
    by_name: Callable[[str], Iterable[_T]],
) -> _T:
    def by_prefix(prefix: str) -> Iterable[_T]:
        return cast(Iterable[_T], view.by_id_prefix(kind, prefix))

    found = meant(reference, _one(by_id), by_name, by_prefix)
    if not found:
        raise NotFound(f"{kind} {reference} not found")
    if len(found) > 1:
        raise InvalidArgument(
            f"{kind} {reference} is ambiguous ({len(found)} matches found): write the whole id"
        )
    return found[0]


def _one(look_up: Callable[[str], _T | None]) -> Callable[[str], Iterable[_T]]:
    def way(reference: str) -> list[_T]:
        found = look_up(reference)
        return [] if found is None else [found]

    return way
