"""Runs tasks as containers of this node's engine: the `Executor` that is not a fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import aclosing, suppress

from msgspec.structs import replace

from skep.agent.container import (
    TASK_ID_LABEL,
    container_wish,
    host_ports,
    managed_labels,
    stop_grace_s,
)
from skep.agent.executor import Started, TaskExit
from skep.engine import ContainerView, Engine, Wish
from skep.kit.clock import parse_rfc3339_ns
from skep.kit.errors import Conflict, NotFound, NotModified, SkepError
from skep.kit.history import Followed
from skep.kit.jobs import whole
from skep.model.defaults import container as container_spec
from skep.model.event import Event
from skep.model.image import decode_registry_auth
from skep.model.network import Network
from skep.model.node import Node, NodeDescription
from skep.model.service import PortConfig
from skep.model.task import ContainerStatus, Task, task_name
from skep.network.values import PublishedPort
from skep.protocol.messages import LogFrame, ReadLogs

_UNHEALTHY = "dockerexec: unhealthy container"
_KILLED = 137


class ContainerExecutor:
    """Tasks are containers named `<service>.<slot>.<task id>`, found again by that name."""

    def __init__(self, engine: Engine, describe: Callable[[], NodeDescription]) -> None:
        self._engine = engine
        self._describe = describe
        self._networks: dict[str, Network] = {}

    async def describe(self) -> NodeDescription:
        return self._describe()

    async def answers(self) -> None:
        await self._engine.answers()

    async def set_networks(self, networks: list[Network]) -> None:
        self._networks = {network.id: network for network in networks}
        await self._leave_networks()

    async def _leave_networks(self) -> None:
        """Take part in no network any longer that the node has no task for.

        Asked of the engine and not of our memory: we may have been killed before we left one.
        """
        known = await self._engine.networks.list(lambda network: network.scope == "swarm")
        for network_id in {network.id for network in known} - self._networks.keys():
            try:
                await self._engine.networks.remove_cluster_network(network_id)
            except Conflict:
                pass  # a container that is being removed is still on it: asked again after that

    async def create(self, task: Task, node: Node, registry_auth: str) -> None:
        if self._find(task) is not None:
            return
        await self._have_image(container_spec(task.spec).image, registry_auth)
        await whole(self._make(task, container_wish(task, node)))

    async def _make(self, task: Task, wish: Wish) -> None:
        for attachment in task.networks_attachments:
            if network := self._networks.get(attachment.network.id):
                await self._engine.networks.ensure_cluster_network(network)
        await self._engine.containers.create_managed(wish, task_name(task), managed_labels(task))

    async def start(self, task: Task) -> Started:
        container = self._get(task)
        if container.state == "created":
            await self._engine.containers.start(container.id)
            container = self._get(task)
        return Started(
            container=ContainerStatus(
                container_id=container.id, pid=container.pid, exit_code=container.exit_code
            ),
            host_ports=_as_published(host_ports(task), container.ports),
            ingress_address=_first_ipv4(container.addresses),
        )

    async def healthy(self, task: Task) -> None:
        container = self._get(task)
        if container.health is None:
            return
        async with aclosing(self._events_of(container.id)) as changes:
            while container.health != "healthy":
                if not container.running:  # asked first: with its end nothing is healthy any more
                    raise SkepError(f"task: exited ({container.exit_code}) before it was healthy")
                if container.health == "unhealthy":
                    await self._kill(container.id)
                    raise SkepError(f"task: non-zero exit ({_KILLED}): {_UNHEALTHY}")
                await anext(changes)
                container = self._get(task)

    async def exited(self, task: Task) -> TaskExit:
        container = self._get(task)
        waiting = asyncio.ensure_future(self._engine.containers.wait(container.id, "not-running"))
        sickness = asyncio.ensure_future(self._unhealthy(container))
        try:
            await asyncio.wait({waiting, sickness}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done() and sickness.done() and sickness.result():
                await self._kill(container.id)
                await waiting
                return TaskExit(_KILLED, f"task: non-zero exit ({_KILLED}): {_UNHEALTHY}")
            return self._how_it_ended(task, (await waiting).status_code)
        finally:
            waiting.cancel()
            sickness.cancel()

    async def stop(self, task: Task) -> TaskExit | None:
        grace_s = stop_grace_s(task.spec)
        try:
            await self._engine.containers.stop(task_name(task), timeout_s=grace_s)
        except NotFound:
            return None
        except NotModified:
            pass  # it had ended by itself
        container = self._find(task)
        return TaskExit(container.exit_code) if container else None

    async def remove(self, task: Task) -> None:
        await self._remove(task_name(task))
        await self._leave_networks()

    async def publish(self, ports: Collection[PublishedPort]) -> None:
        await self._engine.networks.service_ports.publish(ports)

    async def set_names(self, names: dict[str, dict[str, tuple[str, ...]]]) -> None:
        for network_id in self._networks:
            with suppress(NotFound):  # no container was on it yet, so nobody asks
                self._engine.networks.set_names(network_id, names.get(network_id, {}))

    async def task_ids(self) -> set[str]:
        return set(self._tasks_containers())

    async def remove_stray(self, task_id: str) -> None:
        if name := self._tasks_containers().get(task_id):
            await self._remove(name)

    async def logs(self, task: Task, request: ReadLogs) -> AsyncIterator[LogFrame]:
        chunks = await self._engine.containers.logs(
            task_name(task),
            follow=request.follow,
            stdout=request.stdout,
            stderr=request.stderr,
            since_ns=request.since_ns,
            until_ns=request.until_ns,
            tail=request.tail,
            timestamps=True,
        )
        async for chunk in chunks:
            stamp, _, line = chunk.data.partition(b" ")
            yield LogFrame(parse_rfc3339_ns(stamp.decode()), chunk.stream, line.rstrip(b"\n"))

    async def _have_image(self, image: str, registry_auth: str) -> None:
        """Pull the image unless it is here; a pull goes on when its task is wanted no more.

        An image that is here is used as it is: the client pins a digest when the registry knows
        one, so a newer image has another name here.
        """
        try:
            await self._engine.images.resolve(image)
        except NotFound:
            await self._engine.images.fetch(image, decode_registry_auth(registry_auth))

    def _tasks_containers(self) -> dict[str, str]:
        """Task id -> container id of everything here that is or was a task."""
        return self._engine.containers.labelled(TASK_ID_LABEL)

    def _find(self, task: Task) -> ContainerView | None:
        try:
            return self._engine.containers.view(task_name(task))
        except NotFound:
            return None

    def _get(self, task: Task) -> ContainerView:
        container = self._find(task)
        if container is None:
            raise NotFound("task: its container is gone (removed by somebody else?)")
        return container

    async def _remove(self, name: str) -> None:
        try:
            await self._engine.containers.remove(name, force=True, volumes=True)
        except NotFound:
            pass

    async def _kill(self, container_id: str) -> None:
        try:
            await self._engine.containers.kill(container_id)
        except (NotFound, Conflict):
            pass  # it ended by itself

    def _how_it_ended(self, task: Task, code: int) -> TaskExit:
        container = self._find(task)
        if container is not None and container.oom_killed:
            return TaskExit(
                code, f"task: non-zero exit ({code}): out of memory (its limit was reached)"
            )
        if container is not None and container.error:
            return TaskExit(code, f"task: non-zero exit ({code}): {container.error}")
        return TaskExit(code)

    async def _unhealthy(self, container: ContainerView) -> bool:
        """True as soon as the container is unhealthy; never returns without a health check."""
        if container.health is None:
            await asyncio.get_running_loop().create_future()
        async with aclosing(self._events_of(container.id)) as changes:
            while self._engine.containers.view(container.id).health != "unhealthy":
                await anext(changes)
        return True

    def _events_of(self, container_id: str) -> Followed[Event]:
        return self._engine.events.stream(lambda event: event.id == container_id)


def _first_ipv4(addresses: Iterable[str]) -> str:
    """Where the host reaches the container."""
    return next((address for address in addresses if ":" not in address), "")


def _as_published(wanted: Iterable[PortConfig], got: Iterable[PublishedPort]) -> list[PortConfig]:
    """Host-mode ports with the numbers that they really got, each once."""
    found = [
        replace(port, published_port=place.host_port)
        for port in wanted
        for place in got
        if place.protocol == port.protocol
        and any(backend.port == port.target_port for backend in place.backends)
    ]
    return [port for n, port in enumerate(found) if port not in found[:n]]
