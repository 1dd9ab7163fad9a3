"""One node as the scheduler sees it: the node, and the sums over the tasks that stand on it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from skep.manager.scheduler import generic
from skep.manager.scheduler.counts import add
from skep.model import defaults
from skep.model.node import Node
from skep.model.service import GenericResource, PortConfig
from skep.model.states import TaskState
from skep.model.task import Task

_PLACED_STATES = frozenset(
    state for state in TaskState if TaskState.ASSIGNED <= state <= TaskState.RUNNING
)
_WANTED_STATES = frozenset(state for state in TaskState if state <= TaskState.COMPLETE)

HostPort = tuple[str, int]
"""Protocol and port number."""


class Need(msgspec.Struct, frozen=True):
    """What one task takes from its node."""

    nano_cpus: int = 0
    memory_bytes: int = 0
    generic: generic.Wanted = ()
    host_ports: tuple[HostPort, ...] = ()


def need_of(task: Task) -> Need:
    """The reservations of a task and the host ports that it opens. Limits take nothing."""
    reserved = defaults.reservations(task.spec)
    return Need(
        reserved.nano_cpus,
        reserved.memory_bytes,
        generic.wanted(reserved.generic_resources) if reserved.generic_resources else (),
        _host_ports(task.ports) if task.ports else (),
    )


def _host_ports(ports: Sequence[PortConfig]) -> tuple[HostPort, ...]:
    """Ports whose number the node is free to choose (0) are nobody's."""
    return tuple(
        (port.protocol, port.published_port)
        for port in ports
        if port.publish_mode == "host" and port.published_port
    )


def stands_on_node(task: Task) -> bool:
    """Placed and not yet dead: the task has its share of the node, wanted or not."""
    if not task.node_id:
        return False
    return task.status.state in _PLACED_STATES


class NodeInfo:
    """A node and what is taken of it. `node` is None while only tasks remember the node.

    `take` and `give` are each other's inverse; the scheduler tries placements with them and takes
    them back when the plan is made.
    """

    __slots__ = (
        "by_service",
        "cpus",
        "free_cpus",
        "free_memory",
        "generic",
        "host_ports",
        "id",
        "index",
        "memory",
        "node",
        "tasks",
        "total",
    )

    def __init__(self, node_id: str) -> None:
        self.id = node_id
        self.node: Node | None = None
        self.index = 0
        """Place among the nodes by id: the last tie-break."""
        self.tasks = 0
        """All tasks that stand here."""
        self.total = 0
        """Those of them that are wanted."""
        self.by_service: dict[str, int] = {}
        """The wanted ones, by service id."""
        self.cpus = self.free_cpus = 0
        self.memory = self.free_memory = 0
        self.generic = generic.Used()
        self.host_ports: dict[HostPort, int] = {}

    def set_node(self, node: Node | None) -> None:
        """The node as it is now; its resources may have changed under the tasks."""
        cpus = node.description.resources.nano_cpus if node else 0
        memory = node.description.resources.memory_bytes if node else 0
        self.free_cpus += cpus - self.cpus
        self.free_memory += memory - self.memory
        self.node, self.cpus, self.memory = node, cpus, memory

    def take(self, task: Task, need: Need) -> None:
        """`task` stands here from now on."""
        self._count(task, need, 1)

    def give(self, task: Task, need: Need) -> None:
        """`task` stands here no more."""
        self._count(task, need, -1)

    def _count(self, task: Task, need: Need, sign: int) -> None:
        self.tasks += sign
        if task.desired_state in _WANTED_STATES:
            self.total += sign
            add(self.by_service, task.service_id, sign)
        self.free_cpus -= sign * need.nano_cpus
        self.free_memory -= sign * need.memory_bytes
        if task.assigned_generic_resources:
            self.generic.add(task.assigned_generic_resources, sign)
        for port in need.host_ports:
            add(self.host_ports, port, sign)

    def has_room_for(self, need: Need) -> bool:
        """Processors, memory and generic resources suffice."""
        if need.nano_cpus and need.nano_cpus > self.free_cpus:
            return False
        if need.memory_bytes and need.memory_bytes > self.free_memory:
            return False
        return not need.generic or self.claim(need) is not None

    def claim(self, need: Need) -> list[GenericResource] | None:
        """The generic resources that one more task would be given; None = not all of them."""
        has = self.node.description.resources.generic_resources if self.node else ()
        return generic.claim(has, self.generic, need.generic)

    def used_share(self, resource: str) -> float:
        """The reserved part of `cpu` or `memory`: 0.0 = free, 1.0 = full."""
        free, has = (
            (self.free_cpus, self.cpus) if resource == "cpu" else (self.free_memory, self.memory)
        )
        return 1.0 - free / has if has else 0.0
