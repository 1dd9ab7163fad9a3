"""What the agent's executor asks of the engine."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from skep.agent.containers import ContainerExecutor
from skep.agent.executor import TaskExit
from skep.kit.errors import SkepError
from skep.model.node import Node, NodeDescription, NodeSpec
from skep.model.service import ContainerSpec, HealthConfig
from skep.model.task import Task
from skep.testing import builders as b
from skep.testing.engine_host import BUSYBOX, EngineHost

NOWHERE = "127.0.0.1:1/nosuch:1"


async def test_a_pull_that_fails_when_no_task_waits_any_more_is_no_fault(host: EngineHost) -> None:
    """It was logged as an exception that nobody retrieved."""
    executor = ContainerExecutor(host.engine, NodeDescription)
    task = b.task("t", b.service(name="web", image=NOWHERE))
    node = Node(id="n1", spec=NodeSpec())
    waiting = asyncio.create_task(executor.create(task, node, ""))
    async with asyncio.timeout(10):
        while not (pulls := [t for t in asyncio.all_tasks() if t.get_name() == "shared-work"]):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting, *pulls])
    with pytest.raises(SkepError):
        await executor.create(task, node, "")


def probed(script: str, probe: str, *, retries: int = 1) -> Task:
    """A task that is asked every 50 ms how it is."""
    health = HealthConfig(test=["CMD-SHELL", probe], interval=50_000_000, retries=retries)
    container = ContainerSpec(image=BUSYBOX, command=["sh", "-c", script], healthcheck=health)
    task = b.task("t", b.service(name="web"))
    return replace(task, spec=replace(task.spec, container_spec=container))


async def started(executor: ContainerExecutor, task: Task) -> None:
    await executor.create(task, Node(id="n1", spec=NodeSpec()), "")
    await executor.start(task)


async def test_a_task_is_well_when_its_probe_says_so_and_killed_when_no_more(
    host: EngineHost,
) -> None:
    executor = ContainerExecutor(host.engine, NodeDescription)
    task = probed("touch /well; sleep 2; rm /well; sleep 600", "test -e /well", retries=3)
    await started(executor, task)
    async with asyncio.timeout(20):
        await executor.healthy(task)
        ended = await executor.exited(task)
    assert ended == TaskExit(137, "task: non-zero exit (137): dockerexec: unhealthy container")


async def test_a_task_that_is_never_well_is_killed(host: EngineHost) -> None:
    executor = ContainerExecutor(host.engine, NodeDescription)
    task = probed("sleep 600", "false")
    await started(executor, task)
    async with asyncio.timeout(20):
        with pytest.raises(SkepError, match="unhealthy container"):
            await executor.healthy(task)
        assert (await executor.exited(task)).code == 137


async def test_a_task_that_ends_before_it_is_well_says_how(host: EngineHost) -> None:
    executor = ContainerExecutor(host.engine, NodeDescription)
    task = probed("sleep 0.3; exit 4", "false", retries=1000)
    await started(executor, task)
    async with asyncio.timeout(20):
        with pytest.raises(SkepError, match=r"exited \(4\) before it was healthy"):
            await executor.healthy(task)
