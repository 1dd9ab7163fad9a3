"""What tasks need beside themselves, one row for each kind. To add a kind is to add its row.

A node is told of a thing as soon as one of its tasks needs it, again when it changed, and that it
may forget it when none does any more (`assignments.py`). The agent keeps it, and makes no task
before all is there that the task needs; only a kind on which it must act has a row there
(`agent/kinds.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from skep.model.network import Network
from skep.model.service import RegistryAuth
from skep.model.task import Task
from skep.protocol.messages import Reference
from skep.store.change import Event, Stored, View


class Found(NamedTuple):
    """A thing as it is now: what is sent of it, and a number that is another when that is."""

    version: int
    body: object


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """`needed_by` names the things of this kind that a task needs, `find` is where one stands in
    the view (None: there is none, so nobody waits for it), `changed` names those that a change
    concerns. What is `volatile` may not lie on a worker's disk."""

    name: str
    needed_by: Callable[[Task], Iterable[str]]
    find: Callable[[View, str], Found | None]
    changed: Callable[[Event], Iterable[str]]
    volatile: bool = False


def _networks_of(task: Task) -> list[str]:
    return [attachment.network.id for attachment in task.networks_attachments]


def _network(view: View, network_id: str) -> Found | None:
    network = view.network(network_id)
    return None if network is None else Found(network.version.index, network)


def _registry_auth(view: View, service_id: str) -> Found | None:
    """Of a service, as in X-Registry-Auth."""
    auth = view.registry_auth(service_id)
    return Found(auth.version.index, auth.current) if auth is not None and auth.current else None


def _stored(kind: type[Stored]) -> Callable[[Event], Iterable[str]]:
    """Things that are objects of the store change when these do."""

    def changed(event: Event) -> Iterable[str]:
        return (event.new.id,) if event.new is not None and isinstance(event.new, kind) else ()

    return changed


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            name="network",
            needed_by=_networks_of,
            find=_network,
            changed=_stored(Network),
        ),
        Kind(
            name="registry-auth",
            needed_by=lambda task: [task.service_id],
            find=_registry_auth,
            changed=_stored(RegistryAuth),
            volatile=True,
        ),
    )
}


def needs_of(view: View, task: Task) -> tuple[Reference, ...]:
    """All that is there for the task to need."""
    return tuple(
        [
            Reference(kind.name, thing_id)
            for kind in KINDS.values()
            for thing_id in kind.needed_by(task)
            if kind.find(view, thing_id) is not None
        ]
    )


def concerned(event: Event) -> Iterator[Reference]:
    """The things that are not what they were."""
    for kind in KINDS.values():
        for thing_id in kind.changed(event):
            yield Reference(kind.name, thing_id)
