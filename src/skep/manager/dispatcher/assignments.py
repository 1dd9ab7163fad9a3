"""What a node must be told, given what it was told before: a pure difference."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from skep.model.network import Network
from skep.model.states import TaskState
from skep.model.task import Task
from skep.protocol.messages import Assignments
from skep.store.change import View


class Told(msgspec.Struct, frozen=True):
    """What one agent knows: the desired state of its tasks, and its networks' versions.

    The rest of a task never changes after it was assigned, so the desired state is all that must
    be compared.
    """

    sequence: int = 0
    tasks: dict[str, TaskState] = {}
    networks: dict[str, int] = {}


def complete(view: View, node_id: str) -> tuple[Assignments, Told]:
    """Everything the node must know, for the first message of a session."""
    message, told = _told(view, node_id, Told(), (t.id for t in view.tasks_of_node(node_id)))
    return message, told


def difference(
    view: View, node_id: str, told: Told, dirty: Iterable[str]
) -> tuple[Assignments | None, Told]:
    """What changed among the `dirty` task ids since `told`; None when the agent knows it all."""
    message, after = _told(view, node_id, told, dirty)
    silent = not (
        message.tasks or message.removed_tasks or message.networks or message.removed_networks
    )
    return (None, told) if silent else (message, after)


def _told(view: View, node_id: str, told: Told, dirty: Iterable[str]) -> tuple[Assignments, Told]:
    known = dict(told.tasks)
    fresh: list[Task] = []
    removed: list[str] = []
    for task_id in sorted(set(dirty)):
        task = view.task(task_id)
        if task is None or task.node_id != node_id:
            if known.pop(task_id, None) is not None:
                removed.append(task_id)
        elif _concerns_agent(task, known) and known.get(task_id) != task.desired_state:
            known[task_id] = task.desired_state
            fresh.append(task)
    networks = _networks(view, known)
    message = Assignments(
        applies_to=told.sequence,
        results_in=told.sequence + 1,
        tasks=fresh,
        removed_tasks=removed,
        networks=[n for n in networks if told.networks.get(n.id) != n.version.index],
        removed_networks=sorted(told.networks.keys() - {n.id for n in networks}),
        registry_auths=_registry_auths(view, fresh),
    )
    versions = {network.id: network.version.index for network in networks}
    return message, Told(message.results_in, known, versions)


def _concerns_agent(task: Task, known: dict[str, TaskState]) -> bool:
    """A task that died before its node heard of it needs no telling."""
    assigned = task.status.state >= TaskState.ASSIGNED
    return assigned and (task.id in known or not _never_started(task))


def _never_started(task: Task) -> bool:
    return task.status.state.dead and task.status.container_status is None


def _networks(view: View, known: Iterable[str]) -> list[Network]:
    tasks = (view.task(task_id) for task_id in known)
    ids = {
        attachment.network.id
        for task in tasks
        if task is not None
        for attachment in task.networks_attachments
    }
    return [network for n in sorted(ids) if (network := view.network(n)) is not None]


def _registry_auths(view: View, tasks: Iterable[Task]) -> dict[str, str]:
    services = sorted({task.service_id for task in tasks})
    auths = ((service_id, view.registry_auth(service_id)) for service_id in services)
    return {service_id: auth.current for service_id, auth in auths if auth and auth.current}
