"""What a node must be told, given what it was told before: a pure difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec.structs import replace

from skep.model.network import Network
from skep.model.states import TaskState
from skep.model.task import Task
from skep.protocol.messages import Assignments
from skep.store.change import Event, View

_A_PART = 128
"""So many tasks, and networks, go in one message."""


class Known(msgspec.Struct, frozen=True):
    """What an agent knows of a task. The rest of a task never changes after it was assigned, so
    the desired state is all that must be compared."""

    desired: TaskState
    networks: tuple[str, ...] = ()


class Told(msgspec.Struct, frozen=True):
    """What one agent knows: its tasks, the versions of its networks, how many tasks use each."""

    tasks: dict[str, Known] = {}
    networks: dict[str, int] = {}
    uses: dict[str, int] = {}


def complete(view: View, node_id: str) -> tuple[Assignments, Told]:
    """Everything the node must know, for the first messages of a session."""
    return _told(view, node_id, Told(), (t.id for t in view.tasks_of_node(node_id)), ())


def difference(
    view: View, node_id: str, told: Told, tasks: Iterable[str], networks: Iterable[str] = ()
) -> tuple[Assignments | None, Told]:
    """What changed among those task and network ids since `told`; None when the agent knows all."""
    message, after = _told(view, node_id, told, tasks, networks)
    silent = not (
        message.tasks or message.removed_tasks or message.networks or message.removed_networks
    )
    return (None, told) if silent else (message, after)


def matters(event: Event) -> bool:
    """Whether a change of a task can be news for an agent: most are what agents reported."""
    old, new = event.old, event.new
    if not isinstance(old, Task) or not isinstance(new, Task):
        return True
    before, after = (task.status.state >= TaskState.ASSIGNED for task in (old, new))
    same = old.desired_state == new.desired_state and old.node_id == new.node_id
    return not (same and before and after)


def in_parts(message: Assignments) -> Iterator[Assignments]:
    """A long message as several: networks before the tasks that need them, and `more` said where
    more follows."""
    tasks, networks = message.tasks, message.networks
    if len(tasks) <= _A_PART and len(networks) <= _A_PART:
        yield message
        return
    for i in range(0, len(networks), _A_PART):
        yield Assignments(networks=networks[i : i + _A_PART], more=True)
    for i in range(0, len(tasks), _A_PART):
        chunk = tasks[i : i + _A_PART]
        auths = _those(message.registry_auths, chunk)
        yield Assignments(tasks=chunk, registry_auths=auths, more=True)
    yield replace(message, tasks=[], networks=[], registry_auths={})


def halves(message: Assignments) -> tuple[Assignments, Assignments]:
    """The same in two messages, for one that is too large though it has few tasks."""
    tasks, networks = message.tasks, message.networks
    if len(tasks) < 2:
        some = max(1, len(networks) // 2)
        first = Assignments(networks=networks[:some], more=True)
        return first, replace(message, networks=networks[some:])
    some = len(tasks) // 2
    auths = message.registry_auths
    first = Assignments(
        tasks=tasks[:some],
        networks=networks,
        registry_auths=_those(auths, tasks[:some]),
        more=True,
    )
    second = replace(
        message,
        tasks=tasks[some:],
        networks=[],
        registry_auths=_those(auths, tasks[some:]),
    )
    return first, second


def _told(
    view: View, node_id: str, told: Told, task_ids: Iterable[str], network_ids: Iterable[str]
) -> tuple[Assignments, Told]:
    known, uses = dict(told.tasks), dict(told.uses)
    touched = set(network_ids)
    fresh: list[Task] = []
    removed: list[str] = []
    for task_id in sorted(set(task_ids)):
        task = view.task(task_id)
        before = known.get(task_id)
        if task is None or task.node_id != node_id:
            if before is not None:
                del known[task_id]
                _use(uses, before.networks, -1)
                touched.update(before.networks)
                removed.append(task_id)
        elif before is None and not _never_started(task):
            on = tuple(attachment.network.id for attachment in task.networks_attachments)
            known[task_id] = Known(task.desired_state, on)
            _use(uses, on, 1)
            touched.update(on)
            fresh.append(task)
        elif before is not None and before.desired != task.desired_state:
            known[task_id] = replace(before, desired=task.desired_state)
            fresh.append(task)
    networks, versions = _networks(view, told.networks, uses, touched)
    message = Assignments(
        tasks=fresh,
        removed_tasks=removed,
        networks=networks,
        removed_networks=sorted(told.networks.keys() - versions.keys()),
        registry_auths=_registry_auths(view, fresh),
    )
    return message, Told(known, versions, uses)


def _never_started(task: Task) -> bool:
    """It is not the node's yet, or it died before the node heard of it."""
    status = task.status
    return status.state < TaskState.ASSIGNED or (
        status.state.dead and status.container_status is None
    )


def _use(uses: dict[str, int], networks: Iterable[str], more: int) -> None:
    for network_id in networks:
        uses[network_id] = uses.get(network_id, 0) + more
        if not uses[network_id]:
            del uses[network_id]


def _networks(
    view: View, told: dict[str, int], uses: dict[str, int], touched: set[str]
) -> tuple[list[Network], dict[str, int]]:
    """Those of the touched networks that are news, and the versions that are known then."""
    versions = dict(told)
    fresh = []
    for network_id in sorted(touched):
        network = view.network(network_id) if network_id in uses else None
        if network is None:
            versions.pop(network_id, None)
        elif versions.get(network_id) != network.version.index:
            versions[network_id] = network.version.index
            fresh.append(network)
    return fresh, versions


def _registry_auths(view: View, tasks: Iterable[Task]) -> dict[str, str]:
    services = sorted({task.service_id for task in tasks})
    auths = ((service_id, view.registry_auth(service_id)) for service_id in services)
    return {service_id: auth.current for service_id, auth in auths if auth and auth.current}


def _those(auths: dict[str, str], tasks: Iterable[Task]) -> dict[str, str]:
    """The credentials that these tasks need."""
    return {t.service_id: auths[t.service_id] for t in tasks if t.service_id in auths}
