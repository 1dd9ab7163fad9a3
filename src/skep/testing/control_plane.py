"""A manager with everything but machines: real store, real rooms, real TLS on loopback, and agents
whose executors are fakes. For tests of what crosses the line."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from skep.agent.agent import Agent
from skep.agent.identity import Identity
from skep.kit.clock import utc_now
from skep.kit.ids import new_id
from skep.manager.ca import authority
from skep.manager.control.cluster import Birth, init_changes
from skep.manager.manager import Manager
from skep.model.cluster import ClusterSpec
from skep.model.node import ManagerStatus, Node, NodeSpec
from skep.model.service import (
    ContainerSpec,
    ReplicatedService,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from skep.model.states import TaskState
from skep.protocol.join import ask_to_join
from skep.protocol.link import AgentLink, local_link
from skep.protocol.messages import FromManager
from skep.protocol.tls import connect, server_context
from skep.testing.executor import FakeExecutor

_PATIENCE_S = 20.0


class FakeNode:
    """A worker that joined for real."""

    def __init__(self, node_id: str, agent: Agent, executor: FakeExecutor) -> None:
        self.id = node_id
        self.agent = agent
        self.executor = executor
        self.running: asyncio.Task[None] | None = None


class ControlPlane:
    """`start`, then `join` workers; `close` ends all."""

    def __init__(self, folder: Path, spec: ClusterSpec = ClusterSpec()) -> None:  # noqa: B008
        self._folder = folder
        self._spec = spec
        self._jobs: list[asyncio.Task[None]] = []
        self.nodes: list[FakeNode] = []
        self.address = f"127.0.0.1:{free_port()}"
        self.manager = Manager(folder / "manager")

    async def start(self) -> None:
        cluster_id, node_id = new_id(), new_id()
        secrets = authority.new_root(cluster_id, utc_now())
        first = Node(
            id=node_id,
            spec=NodeSpec(role="manager", availability="drain"),
            manager_status=ManagerStatus(True, "reachable", self.address),
            certificate_role="manager",
        )
        ids = (new_id(), new_id(), new_id())
        birth = Birth(
            cluster_id=cluster_id,
            secrets=secrets,
            first_node=first,
            network_ids=ids,
            spec=self._spec,
        )
        await self.manager.start()
        await self.manager.store.commit(init_changes(birth))
        identity = Identity(self._folder / "manager", random.Random(1))
        key, request = await identity.request()
        life_ns = self._spec.ca_config.node_cert_expiry
        certificate = authority.sign(secrets, request, node_id, "manager", life_ns, utc_now())
        identity.install(key, certificate, authority.roots(secrets))
        self.identity = identity
        own = self._folder / "manager"
        agent = Agent(node_id, FakeExecutor("manager"), identity, own, self._dial_locally)
        self._own = FakeNode(node_id, agent, FakeExecutor("manager"))
        await agent.start()
        await self._open()
        self.start_agent(self._own)

    async def restart_manager(self) -> None:
        """The manager process dies and comes back with what it had stored."""
        await self._close_manager()
        self.manager = Manager(self._folder / "manager")
        await self.manager.start()
        await self._open()

    async def join(self, hostname: str) -> FakeNode:
        token = self.manager.control.cluster.join_tokens().worker
        key, joined = await ask_to_join(self.address, token, "active")
        folder = self._folder / hostname
        folder.mkdir()
        Identity(folder, random.Random(2)).install(key, joined.certificate, joined.roots)
        node = self._node(joined.node_id, folder, FakeExecutor(hostname))
        self.nodes.append(node)
        await node.agent.start()
        self.start_agent(node)
        await self.until(node.agent.connected.is_set)
        return node

    def start_agent(self, node: FakeNode) -> None:
        node.running = asyncio.create_task(node.agent.run())

    async def stop_agent(self, node: FakeNode) -> None:
        """The agent's process dies; what it runs goes on."""
        if node.running is not None:
            node.running.cancel()
            await asyncio.gather(node.running, return_exceptions=True)
            node.running = None
            await node.agent.close()

    async def restart_agent(self, node: FakeNode) -> None:
        await self.stop_agent(node)
        again = self._node(node.id, self._folder / node.executor.hostname, node.executor)
        node.agent = again.agent
        await node.agent.start()
        self.start_agent(node)

    async def close(self) -> None:
        for node in (*self.nodes, self._own):
            await self.stop_agent(node)
        await self._close_manager()

    async def create_service(self, replicas: int, name: str = "web", image: str = "app:1") -> str:
        spec = ServiceSpec(
            name=name,
            task_template=TaskSpec(
                container_spec=ContainerSpec(image=image),
                restart_policy=RestartPolicy(delay=0),
            ),
            mode=ServiceMode(replicated=ReplicatedService(replicas=replicas)),
        )
        return (await self.manager.control.services.create(spec)).id

    def running(self, service_id: str) -> list[str]:
        """Ids of the tasks that are wanted running and observed running."""
        return [
            task.id
            for task in self.manager.store.view.tasks_of_service(service_id)
            if task.status.state == TaskState.RUNNING and task.desired_state == TaskState.RUNNING
        ]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds; fails when it does not in good time."""
        async with asyncio.timeout(_PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.01)

    def _node(self, node_id: str, folder: Path, executor: FakeExecutor) -> FakeNode:
        identity = Identity(folder, random.Random(3))
        identity.load()

        async def dial() -> Any:
            return await connect(self.address, identity.client_context(), FromManager)

        return FakeNode(node_id, Agent(node_id, executor, identity, folder, dial), executor)

    async def _dial_locally(self) -> AgentLink:
        near, far = local_link()
        self._job(self.manager.dispatcher.serve(far, self._own.id, "127.0.0.1"))
        return near

    async def _open(self) -> None:
        context = self.identity.keep(server_context(self.identity.files))
        await self.manager.listen(self.address, context)
        self._job(self.manager.run())

    async def _close_manager(self) -> None:
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        self._jobs.clear()
        await self.manager.close()

    def _job(self, work: Coroutine[Any, Any, None]) -> None:
        self._jobs.append(asyncio.create_task(work))


def free_port() -> int:
    """A TCP port of loopback that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
