"""What the agent's executor asks of the engine."""

from __future__ import annotations

import asyncio

import pytest

from skep.agent.containers import ContainerExecutor
from skep.kit.errors import SkepError
from skep.model.node import Node, NodeDescription, NodeSpec
from skep.testing import builders as b
from skep.testing.engine_host import EngineHost

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
