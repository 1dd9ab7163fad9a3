"""What crosses the line between a manager and its agents, over real TLS, with fake containers."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.msgpack import encode

from skep.manager.dispatcher.kinds import KINDS, Found, Kind
from skep.model.states import TaskState
from skep.testing.control_plane import ControlPlane


async def test_a_service_runs_on_the_nodes_that_joined(plane: ControlPlane) -> None:
    nodes = [await plane.join(f"n{n}") for n in range(3)]
    service = await plane.create_service(9)
    await plane.until(lambda: len(plane.running(service)) == 9)
    assert [len(node.executor.running) for node in nodes] == [3, 3, 3]


async def test_a_task_that_ends_gets_a_successor(plane: ControlPlane) -> None:
    node = await plane.join("n1")
    service = await plane.create_service(1)
    await plane.until(lambda: len(plane.running(service)) == 1)
    first = plane.running(service)[0]
    node.executor.end(first, 3)
    await plane.until(lambda: plane.running(service) not in ([], [first]))
    task = plane.manager.store.view.task(first)
    assert task is not None
    assert (task.status.state, task.status.err) == (TaskState.FAILED, "task: non-zero exit (3)")


async def test_a_removed_service_leaves_nothing_on_the_node(plane: ControlPlane) -> None:
    node = await plane.join("n1")
    service = await plane.create_service(4)
    await plane.until(lambda: len(plane.running(service)) == 4)
    await plane.manager.control.services.remove(service)
    await plane.until(lambda: not node.executor.made and not plane.manager.store.view.tasks())


async def test_a_silent_node_is_down_and_its_tasks_run_elsewhere(plane: ControlPlane) -> None:
    lost, other = [await plane.join(f"n{n}") for n in range(2)]
    service = await plane.create_service(4)
    await plane.until(lambda: len(plane.running(service)) == 4)
    await lost.stop()
    await plane.until(lambda: len(other.executor.running) == 4)
    await lost.start()
    await plane.until(lambda: not lost.executor.running)
    assert len(other.executor.running) == 4


async def test_an_agent_that_restarts_in_time_keeps_its_tasks(plane: ControlPlane) -> None:
    node = await plane.join("n1")
    service = await plane.create_service(3)
    await plane.until(lambda: len(plane.running(service)) == 3)
    before = plane.running(service)
    await node.restart()
    await plane.until(lambda: node.agent.connected.is_set())
    await asyncio.sleep(0.2)
    assert plane.running(service) == before


async def test_tasks_outlive_a_manager_that_restarts(plane: ControlPlane) -> None:
    node = await plane.join("n1")
    service = await plane.create_service(3)
    await plane.until(lambda: len(plane.running(service)) == 3)
    before = plane.running(service)
    await plane.restart_manager()
    await plane.until(lambda: node.agent.connected.is_set())
    assert plane.running(service) == before


async def test_what_ended_while_no_manager_was_there_is_reported(plane: ControlPlane) -> None:
    node = await plane.join("n1")
    service = await plane.create_service(2)
    await plane.until(lambda: len(plane.running(service)) == 2)
    ended = plane.running(service)[0]
    restarting = asyncio.create_task(plane.restart_manager())
    node.executor.end(ended, 0)
    await restarting
    await plane.until(
        lambda: len(plane.running(service)) == 2 and ended not in plane.running(service)
    )


async def test_what_a_task_needs_reaches_its_node_and_is_forgotten_with_it(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another kind of thing is one row in a table; the line and the agent take it as it is."""
    greeting = Kind(
        name="greeting",
        needed_by=lambda task: [task.service_id],
        find=lambda view, id_: Found(1, "hello") if view.service(id_) else None,
        changed=lambda event: (),
        volatile=True,
    )
    monkeypatch.setitem(KINDS, "greeting", greeting)
    node = await plane.join("n1")
    service = await plane.create_service(2)
    await plane.until(lambda: len(plane.running(service)) == 2)
    assert node.agent.worker._supplies.of_kind("greeting") == [encode("hello")]
    await node.restart()
    await plane.until(node.agent.connected.is_set)
    assert node.agent.worker._supplies.of_kind("greeting") == [encode("hello")]
    await plane.manager.control.services.remove(service)
    await plane.until(lambda: not plane.manager.store.view.tasks())
    await plane.until(lambda: not node.agent.worker._supplies.of_kind("greeting"))
