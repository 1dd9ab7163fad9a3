"""The door from the agent to whatever runs a task: real containers, or a fake in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Protocol

import msgspec

from skep.model.network import Network
from skep.model.node import Node, NodeDescription
from skep.model.service import PortConfig
from skep.model.task import ContainerStatus, Task
from skep.network.values import PublishedPort
from skep.protocol.messages import LogFrame, ReadLogs


class TaskExit(msgspec.Struct, frozen=True):
    """How a task's process ended. `reason` says more than the code where something does."""

    code: int
    reason: str = ""


class Started(msgspec.Struct, frozen=True):
    """A running container: its status, the host ports it got, its address behind published ports
    ("" when it publishes none in ingress mode)."""

    container: ContainerStatus
    host_ports: list[PortConfig] = []
    ingress_address: str = ""


class Executor(Protocol):
    """Every method may be called again after a crash, with the same task, and then does what is
    left to do. Errors are SkepErrors whose text the user sees in `service ps`."""

    async def describe(self) -> NodeDescription: ...

    async def answers(self) -> None:
        """Return when what runs the tasks takes work; while it hangs, so does this."""
        ...

    async def set_networks(self, networks: list[Network]) -> None:
        """The cluster networks that this node's tasks use. Realised when first used."""
        ...

    async def create(self, task: Task, node: Node, registry_auth: str) -> None:
        """Image, volumes, sandbox, container: everything but its start. May be cancelled."""
        ...

    async def start(self, task: Task) -> Started:
        """Start the container if it was not yet started, and say what it is."""
        ...

    async def healthy(self, task: Task) -> None:
        """Return when the container is well (at once without a health check).

        Raises SkepError when it became unhealthy or exited before that. May be cancelled.
        """
        ...

    async def exited(self, task: Task) -> TaskExit:
        """Return when the container's process has ended. May be cancelled."""
        ...

    async def stop(self, task: Task) -> TaskExit | None:
        """Stop by signal, grace and kill; None when there was never anything to stop."""
        ...

    async def remove(self, task: Task) -> None:
        """Forget the container and all that was made for it. Idempotent."""
        ...

    async def publish(self, ports: Collection[PublishedPort]) -> None:
        """The whole set of ingress ports that this node's tasks answer on, each with those tasks
        behind it: their addresses, and the ports that they listen on."""
        ...

    async def set_names(self, names: dict[str, dict[str, tuple[str, ...]]]) -> None:
        """All that resolves on each cluster network (by id): name to addresses."""
        ...

    async def task_ids(self) -> set[str]:
        """The tasks for which something exists on this node."""
        ...

    async def remove_stray(self, task_id: str) -> None:
        """Remove what exists for a task that nobody knows any more."""
        ...

    def logs(self, task: Task, request: ReadLogs) -> AsyncIterator[LogFrame]: ...
