"""An `Executor` without containers: tasks run when it says so, and end when a test says so.

tests/agent/test_executor.py holds it to the real one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection

from msgspec.structs import replace

from skep.agent.container import host_ports
from skep.agent.executor import Started, TaskExit
from skep.kit.errors import NotFound, SkepError
from skep.model.network import Network
from skep.model.node import Node, NodeDescription
from skep.model.service import Platform, Resources
from skep.model.task import ContainerStatus, Task
from skep.network.values import PublishedPort
from skep.protocol.messages import LogFrame, ReadLogs

_KILLED = 137
_FIRST_EPHEMERAL = 32768


class FakeExecutor:
    """Keeps what it was told. `refuse` maps an image to the error that creating it raises; a task
    that is in `made` and not in `running` was not started yet, or has ended."""

    def __init__(self, hostname: str = "fake") -> None:
        self.hostname = hostname
        self.made: dict[str, asyncio.Future[TaskExit]] = {}
        self.running: set[str] = set()
        self.published: tuple[PublishedPort, ...] = ()
        self.names: dict[str, dict[str, tuple[str, ...]]] = {}
        self.networks: list[Network] = []
        self.refuse: dict[str, str] = {}
        self.lines: dict[str, list[LogFrame]] = {}
        self.stop_s = 0.0
        self.awake = asyncio.Event()
        self.awake.set()

    async def describe(self) -> NodeDescription:
        return NodeDescription(
            hostname=self.hostname,
            platform=Platform(architecture="x86_64", os="linux"),
            resources=Resources(nano_cpus=8 * 10**9, memory_bytes=2**34),
        )

    async def answers(self) -> None:
        await self.awake.wait()

    async def set_networks(self, networks: list[Network]) -> None:
        self.networks = networks

    async def create(self, task: Task, node: Node, registry_auth: str) -> None:
        assert task.spec.container_spec is not None
        if reason := self.refuse.get(task.spec.container_spec.image):
            raise SkepError(reason)
        self.made.setdefault(task.id, asyncio.get_running_loop().create_future())

    async def start(self, task: Task) -> Started:
        ending = self._ending(task)
        if ending.done():
            return Started(ContainerStatus(f"c-{task.id}", 0, ending.result().code))
        self.running.add(task.id)
        number = sorted(self.made).index(task.id) + 2
        return Started(
            ContainerStatus(f"c-{task.id}", 1000),
            [
                replace(port, published_port=port.published_port or _FIRST_EPHEMERAL)
                for port in host_ports(task)
            ],
            f"172.17.0.{number}",
        )

    async def healthy(self, task: Task) -> None:
        self._ending(task)

    async def exited(self, task: Task) -> TaskExit:
        return await asyncio.shield(self._ending(task))

    async def stop(self, task: Task) -> TaskExit | None:
        await asyncio.sleep(self.stop_s)
        if task.id not in self.made:
            return None
        if task.id in self.running:
            self.end(task.id, _KILLED)
        ending = self.made[task.id]
        return ending.result() if ending.done() else TaskExit(0)

    async def remove(self, task: Task) -> None:
        await self.remove_stray(task.id)

    async def publish(self, ports: Collection[PublishedPort]) -> None:
        self.published = tuple(ports)

    async def set_names(self, names: dict[str, dict[str, tuple[str, ...]]]) -> None:
        self.names = names

    async def task_ids(self) -> set[str]:
        return set(self.made)

    async def remove_stray(self, task_id: str) -> None:
        self.end(task_id, _KILLED)
        self.made.pop(task_id, None)

    async def logs(self, task: Task, request: ReadLogs) -> AsyncIterator[LogFrame]:
        self._ending(task)
        lines = self.lines.get(task.id, [])
        for line in lines[-request.tail :] if request.tail else lines:
            yield line

    def _ending(self, task: Task) -> asyncio.Future[TaskExit]:
        if task.id not in self.made:
            raise NotFound("task: its container is gone")
        return self.made[task.id]

    def end(self, task_id: str, code: int) -> None:
        """The task's process ends."""
        self.running.discard(task_id)
        ending = self.made.get(task_id)
        if ending is not None and not ending.done():
            ending.set_result(TaskExit(code))
