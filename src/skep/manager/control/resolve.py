"""Which object a person means: exact id, then exact name, then the start of an id.

Every function raises NotFound ("service x not found") or, when several would do, InvalidArgument,
in docker's words (source: moby daemon/cluster/helpers.go).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar, cast

from skep.kit.errors import InvalidArgument, NotFound
from skep.model.network import Network
from skep.model.node import Node
from skep.model.service import Service
from skep.model.task import Task, task_name
from skep.store.change import View

_T = TypeVar("_T", Service, Node, Task, Network)


def service(view: View, reference: str) -> Service:
    found = view.service(reference) or view.service_named(reference)
    return found or _by_prefix(view, "service", reference, Service)


def network(view: View, reference: str) -> Network:
    found = view.network(reference) or view.network_named(reference)
    return found or _by_prefix(view, "network", reference, Network)


def node(view: View, reference: str) -> Node:
    """By id, hostname or id prefix."""
    found = view.node(reference)
    if found is not None:
        return found
    named = view.nodes_named(reference) if reference else []
    return _only("node", reference, named) if named else _by_prefix(view, "node", reference, Node)


def task(view: View, reference: str) -> Task:
    """By id, full name (`web.1.<id>`) or id prefix."""
    found = view.task(reference)
    if found is not None:
        return found
    named = view.task(reference.rpartition(".")[2])
    if named is not None and task_name(named) == reference:
        return named
    return _by_prefix(view, "task", reference, Task)


def _by_prefix(view: View, kind: str, reference: str, cls: type[_T]) -> _T:
    found = view.by_id_prefix(kind, reference) if reference else ()
    return _only(kind, reference, cast(Iterable[_T], found))


def _only(kind: str, reference: str, found: Iterable[_T]) -> _T:
    matches = list(found)
    if not matches:
        raise NotFound(f"{kind} {reference} not found")
    if len(matches) > 1:
        raise InvalidArgument(
            f"{kind} {reference} is ambiguous ({len(matches)} matches found): write the whole id"
        )
    return matches[0]
