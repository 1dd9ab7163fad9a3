"""An `Executor` without containers: tasks run when it says so, and end when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection

from skep.agent.executor import Exit, Started
from skep.kit.errors import NotFound, SkepError
from skep.model.network import Network
from skep.model.node import Node, NodeDescription
from skep.model.service import Platform, Resources
from skep.model.task import ContainerStatus, Task
from skep.network.values import PublishedPort
from skep.protocol.messages import LogFrame, ReadLogs


class FakeExecutor:
    """Keeps what it was told. `refuse` maps an image to the error that creating it raises."""

    def __init__(self, hostname: str = "fake") -> None:
        self.hostname = hostname
        self.made: dict[str, asyncio.Future[Exit]] = {}
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
        if task.id not in self.made:
            raise NotFound("task: its container is gone")
        if not self.made[task.id].done():
            self.running.add(task.id)
        number = sorted(self.made).index(task.id) + 2
        return Started(ContainerStatus(f"c-{task.id}", 1000), [], f"172.17.0.{number}")

    async def healthy(self, task: Task) -> None:
        return

    async def exited(self, task: Task) -> Exit:
        return await asyncio.shield(self.made[task.id])

    async def stop(self, task: Task) -> Exit | None:
        await asyncio.sleep(self.stop_s)
        self.end(task.id, 137)
        return Exit(137) if task.id in self.made else None

    async def remove(self, task: Task) -> None:
        self.end(task.id, 137)
        self.made.pop(task.id, None)

    async def publish(self, ports: Collection[PublishedPort]) -> None:
        self.published = tuple(ports)

    async def set_names(self, names: dict[str, dict[str, tuple[str, ...]]]) -> None:
        self.names = names

    async def task_ids(self) -> set[str]:
        return set(self.made)

    async def remove_stray(self, task_id: str) -> None:
        self.end(task_id, 137)
        self.made.pop(task_id, None)

    async def logs(self, task: Task, request: ReadLogs) -> AsyncIterator[LogFrame]:
        lines = self.lines.get(task.id, [])
        for line in lines[-request.tail :] if request.tail else lines:
            yield line

    def end(self, task_id: str, code: int) -> None:
        """The task's process ends."""
        self.running.discard(task_id)
        ending = self.made.get(task_id)
        if ending is not None and not ending.done():
            ending.set_result(Exit(code))
