"""A manager with everything but machines: real store, real rooms, real TLS on loopback, and agents
whose executors are fakes. For tests of what crosses the line."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from skep.agent.agent import Agent, Connect
from skep.agent.dial import dial
from skep.agent.identity import Identity
from skep.agent.roster import Roster
from skep.kit.jobs import Jobs
from skep.manager.founding import found
from skep.manager.manager import Manager
from skep.model.cluster import ClusterSpec
from skep.model.node import NodeDescription
from skep.model.service import (
    ContainerSpec,
    ReplicatedService,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from skep.model.states import TaskState
from skep.model.system import SwarmInit
from skep.protocol.join import ask_to_join
from skep.protocol.link import AgentLink
from skep.protocol.messages import Certificate
from skep.testing.executor import FakeExecutor

_PATIENCE_S = 20.0


class FakeNode:
    """A node that joined for real: `agent` runs unless the test stopped it."""

    def __init__(
        self, node_id: str, folder: Path, executor: FakeExecutor, connect: Connect
    ) -> None:
        self.id = node_id
        self.folder = folder
        self.executor = executor
        self.identity = Identity(folder, random.Random(3))
        self.identity.load()
        self._connect = connect
        self._jobs = Jobs()
        self._made = self._make()

    @property
    def agent(self) -> Agent:
        return self._made

    async def start(self) -> None:
        self._made = self._make()
        await self.agent.start()
        self._jobs.start(self.agent.run(), f"agent {self.id}")

    async def stop(self) -> None:
        """The agent's process dies; what it runs goes on."""
        await self._jobs.close()
        await self.agent.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def _make(self) -> Agent:
        roster = Roster(self.folder / "managers.json", [])
        return Agent(self.id, self.executor, self.identity, roster, self.folder, self._connect)


class ControlPlane:
    """`start`, then `join` workers; `close` ends all."""

    def __init__(self, folder: Path, spec: ClusterSpec = ClusterSpec()) -> None:  # noqa: B008
        self._folder = folder
        self._spec = spec
        self._jobs = Jobs()
        self.nodes: list[FakeNode] = []
        self.address = f"127.0.0.1:{free_port()}"
        self.manager = Manager(folder / "manager")

    async def start(self) -> None:
        await self.manager.start()
        request = SwarmInit(availability="drain", spec=self._spec)
        first = await found(self.manager.store, request, self.address, NodeDescription())
        own = self._folder / "manager"
        Identity(own, random.Random(1)).install(first.key, first.certificate, first.roots)
        self.own = FakeNode(first.node_id, own, FakeExecutor("manager"), self._dial_locally)
        await self._open()
        await self.own.start()

    async def restart_manager(self) -> None:
        """The manager process dies and comes back with what it had stored."""
        await self.stop_manager()
        await self.start_manager()

    async def stop_manager(self) -> None:
        await self._jobs.close()
        await self.manager.close()

    async def start_manager(self, *, leads: bool = True) -> None:
        self.manager = Manager(self._folder / "manager")
        await self.manager.start()
        await self._open(leads=leads)

    async def join(self, hostname: str) -> FakeNode:
        node = await self.enrol(hostname)
        await node.start()
        await self.until(node.agent.connected.is_set)
        return node

    async def enrol(self, hostname: str) -> FakeNode:
        """A node that has its certificate, and whose agent was not started yet."""
        token = self.manager.control.cluster.join_tokens().worker
        key, joined = await ask_to_join(self.address, token, "active")
        return self.install(hostname, joined.node_id, key, joined.certificate, joined.roots)

    def install(
        self, hostname: str, node_id: str, key: str, certificate: Certificate, roots: str
    ) -> FakeNode:
        """A node with this identity, which may be one that no manager gave."""
        folder = self._folder / hostname
        folder.mkdir()
        identity = Identity(folder, random.Random(2))
        identity.install(key, certificate, roots)

        async def connect() -> AgentLink:
            return await dial(node.identity, Roster(folder / "none", [self.address]))

        node = FakeNode(node_id, folder, FakeExecutor(hostname), connect)
        self.nodes.append(node)
        return node

    async def close(self) -> None:
        for node in (*self.nodes, self.own):
            await node.stop()
        await self.stop_manager()

    async def create_service(self, replicas: int, name: str = "web", image: str = "app:1") -> str:
        spec = ServiceSpec(
            name=name,
            task_template=TaskSpec(
                container_spec=ContainerSpec(image=image),
                restart_policy=RestartPolicy(delay=0),
            ),
            mode=ServiceMode(replicated=ReplicatedService(replicas=replicas)),
        )
        return await self.manager.control.services.create(spec)

    async def scale(self, service_id: str, replicas: int) -> None:
        service = self.manager.control.services.get(service_id)
        mode = ServiceMode(replicated=ReplicatedService(replicas=replicas))
        await self.manager.control.services.update(
            service_id, service.version.index, replace(service.spec, mode=mode)
        )

    async def update_cluster(self, spec: ClusterSpec) -> None:
        cluster = self.manager.control.cluster
        await cluster.update(cluster.get().version.index, spec)

    def running(self, service_id: str) -> list[str]:
        """Ids of the tasks that are wanted running and observed running."""
        return [
            task.id
            for task in self.manager.store.view.tasks_of_service(service_id)
            if task.status.state == TaskState.RUNNING and task.desired_state == TaskState.RUNNING
        ]

    def state_of(self, node: FakeNode) -> str:
        """The node's state as the cluster sees it; "" when it is no member."""
        found = self.manager.store.view.node(node.id)
        return found.status.state if found is not None else ""

    async def until(self, condition: Callable[[], bool], within_s: float = _PATIENCE_S) -> None:
        """Wait until it holds; fails when it does not in good time."""
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.01)

    async def _dial_locally(self) -> AgentLink:
        return self.manager.connect(self.own.id, "127.0.0.1")

    async def _open(self, *, leads: bool = True) -> None:
        if leads:
            await self.manager.lead()
        await self.manager.listen(self.address, self.own.identity.server_context)
        self._jobs.start(self.manager.run(), "the manager")


def free_port() -> int:
    """A TCP port of loopback that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
