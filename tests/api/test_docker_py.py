"""The same API seen by docker's Python library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import docker
import pytest
from docker.errors import APIError, NotFound
from docker.types import RestartPolicy, ServiceMode, UpdateConfig

from skep.api import Server
from skep.engine.containers.execs import Begin, nothing_to_begin
from skep.model.container import (
    ContainerInspect,
    ExecCreate,
    ExecInspect,
    ExecStart,
)
from skep.runtime.door import Chunk
from skep.testing.control_plane import ControlPlane
from skep.testing.node import StandInNode, running
from skep.testing.stand_in import instead_of

T = TypeVar("T")


@pytest.fixture
async def client(server: Server, sock: Path) -> AsyncIterator[docker.DockerClient]:
    client = await asyncio.to_thread(docker.DockerClient, base_url=f"unix://{sock}", version="auto")
    yield client
    await asyncio.to_thread(client.close)


async def call(work: Callable[[], T]) -> T:
    """The library waits while it asks, so it asks on a thread."""
    async with asyncio.timeout(20):
        return await asyncio.to_thread(work)


def update(service: Any, **changes: Any) -> None:
    """Update what is there now, whatever the cluster writes to it while it converges."""
    service.reload()
    service.update(**changes)


async def test_it_agrees_on_the_newest_version(client: docker.DockerClient) -> None:
    assert client.api._version == "1.50"
    assert await call(client.ping)
    assert (await call(client.version))["MinAPIVersion"] == "1.24"


async def test_services_and_tasks_are_objects(
    client: docker.DockerClient, cluster: ControlPlane
) -> None:
    service = await call(
        lambda: client.services.create(
            "app:1",
            name="web",
            mode=ServiceMode("replicated", replicas=2),
            env={"A": "b"},
            labels={"tier": "front"},
            restart_policy=RestartPolicy("on-failure", delay=1),
            update_config=UpdateConfig(parallelism=1, delay=0),
        )
    )
    await cluster.until(lambda: len(cluster.running(service.id)) == 2)
    (listed,) = await call(lambda: client.services.list(filters={"label": "tier=front"}))
    assert (listed.id, listed.name) == (service.id, "web")
    assert {task["Status"]["State"] for task in await call(listed.tasks)} == {"running"}
    await call(lambda: update(service, mode=ServiceMode("replicated", replicas=3)))
    await cluster.until(lambda: len(cluster.running(service.id)) == 3)
    await call(lambda: update(service, image="app:2"))
    await call(service.reload)
    spec = service.attrs["Spec"]
    assert spec["TaskTemplate"]["ContainerSpec"]["Image"] == "app:2"
    assert spec["Mode"] == {"Replicated": {"Replicas": 3}}
    await call(service.remove)
    with pytest.raises(NotFound):
        await call(lambda: client.services.get("web"))


async def test_a_stale_writer_is_refused(
    client: docker.DockerClient, cluster: ControlPlane
) -> None:
    service = await call(lambda: client.services.create("app:1", name="web"))
    await call(service.reload)
    stale = service.version
    await call(lambda: update(service, labels={"a": "b"}))
    with pytest.raises(APIError, match="update out of sequence") as refused:
        await call(
            lambda: client.api.update_service(
                service.id, stale, service.attrs["Spec"]["TaskTemplate"], name="web"
            )
        )
    assert refused.value.status_code == 500


async def test_the_swarm_and_its_nodes_are_objects(
    client: docker.DockerClient, cluster: ControlPlane
) -> None:
    swarm = await call(lambda: client.swarm)
    assert swarm.attrs["JoinTokens"]["Worker"].startswith("SWMTKN-1-")
    nodes = {node.attrs["Description"]["Hostname"]: node for node in await call(client.nodes.list)}
    drone = nodes["drone-1"]
    assert drone.attrs["Status"]["State"] == "ready"
    await call(lambda: drone.update({"Availability": "pause", "Role": "worker"}))
    await call(drone.reload)
    assert drone.attrs["Spec"]["Availability"] == "pause"


async def test_logs_are_taken_apart(client: docker.DockerClient, node: StandInNode) -> None:
    @instead_of(node.engine.containers.inspect)
    async def inspect(name: str, *, size: bool = False) -> ContainerInspect:
        return running("c" * 64, name="bee")

    @instead_of(node.engine.containers.logs)
    async def logs(name: str, **options: object) -> AsyncIterator[Chunk]:
        async def lines() -> AsyncIterator[Chunk]:
            yield Chunk(stream=1, data=b"out\n")
            yield Chunk(stream=2, data=b"err\n")

        return lines()

    bee = await call(lambda: client.containers.get("bee"))
    assert bee.name == "bee"
    assert await call(bee.logs) == b"out\nerr\n"


async def test_a_quick_process_s_output_is_not_lost(
    client: docker.DockerClient, node: StandInNode
) -> None:
    class Stream:
        """What a process says that is over at once."""

        def __init__(self) -> None:
            self._said = [Chunk(stream=1, data=b"out\n"), Chunk(stream=2, data=b"err\n")]

        async def read(self) -> Chunk | None:
            return self._said.pop(0) if self._said else None

        async def write(self, data: bytes) -> None:
            raise AssertionError("it has no stdin")

        def close_stdin(self) -> None:
            pass

        def close(self) -> None:
            pass

    @instead_of(node.engine.containers.exec_create)
    async def exec_create(name: str, wish: ExecCreate) -> str:
        assert wish.cmd == ["echo", "out"]
        return "e1"

    @instead_of(node.engine.containers.exec_inspect)
    async def exec_inspect(exec_id: str) -> ExecInspect:
        return ExecInspect(id=exec_id, exit_code=0)

    @instead_of(node.engine.containers.exec_start)
    async def exec_start(exec_id: str, wish: ExecStart, begin: Begin = nothing_to_begin) -> Stream:
        await begin()
        await asyncio.sleep(0.2)  # as long as a process takes to start
        return Stream()

    ran = await call(lambda: client.api.exec_start(client.api.exec_create("c", "echo out")["Id"]))
    assert ran == b"out\nerr\n"
