"""A manager's leading begins, ends and begins again, over real TLS, with fake containers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from skep.kit.errors import Unavailable
from skep.manager.logs import Unread
from skep.manager.manager import ANOTHER_LEADS
from skep.model.logs import LogOptions, LogSelector
from skep.model.task import Task
from skep.protocol.messages import LogFrame, ReadLogs
from skep.testing.control_plane import ControlPlane, FakeNode

PLACES = ("/manager/dispatcher/", "/manager/loop.py", "/manager/leadership.py")
NAMES = ("the deciding loop", "the dispatcher")
OF_EVERY_MANAGER = 1
"""Watches: each tells the story."""
LONGER_THAN_A_GRACE_S = 3.0


def at_work() -> list[str]:
    """The jobs of this process that are a leader's."""
    found = []
    for job in asyncio.all_tasks():
        code = getattr(job.get_coro(), "cr_code", None)
        if job.get_name() in NAMES or any(place in str(code) for place in PLACES):
            found.append(f"{job.get_name()}: {code}")
    return found


def watches(plane: ControlPlane) -> int:
    return len(plane.manager.store._watches)


async def running_on(plane: ControlPlane, count: int) -> tuple[list[FakeNode], str]:
    nodes = [await plane.join(f"n{number}") for number in range(2)]
    service = await plane.create_service(count)
    await plane.until(lambda: len(plane.running(service)) == count)
    return nodes, service


def tasks(plane: ControlPlane) -> dict[str, Task]:
    return {task.id: task for task in plane.manager.store.view.tasks()}


async def until_told(plane: ControlPlane, nodes: list[FakeNode]) -> None:
    await plane.until(lambda: all(node.agent.problem == ANOTHER_LEADS for node in nodes))


async def until_back(plane: ControlPlane, nodes: list[FakeNode]) -> None:
    await plane.until(lambda: all(node.agent.connected.is_set() for node in nodes))


async def test_a_manager_that_does_not_lead_starts_and_answers_without_writing(
    plane: ControlPlane,
) -> None:
    nodes, service = await running_on(plane, 4)
    before = tasks(plane)
    await plane.stop_manager()
    await plane.start_manager(leads=False)
    view = plane.manager.store.view
    revision = view.revision
    await until_told(plane, [*nodes, plane.own])
    await asyncio.sleep(LONGER_THAN_A_GRACE_S)
    assert view.revision == revision
    assert at_work() == []
    assert watches(plane) == OF_EVERY_MANAGER
    assert plane.manager.control.services.get(service).id == service
    assert len(plane.manager.control.nodes.find()) == 3
    assert tasks(plane) == before
    await plane.manager.lead()
    await until_back(plane, nodes)
    assert tasks(plane) == before


async def test_leading_ends_and_begins_again(plane: ControlPlane) -> None:
    nodes, service = await running_on(plane, 4)
    before, threads = tasks(plane), threading.active_count()
    lines = watches(plane)
    for _ in range(3):
        await plane.manager.follow()
        revision = plane.manager.store.view.revision
        assert watches(plane) == OF_EVERY_MANAGER
        await plane.until(lambda: not at_work())
        await until_told(plane, [*nodes, plane.own])
        assert plane.manager.store.view.revision == revision
        await plane.manager.lead()
        await until_back(plane, [*nodes, plane.own])
        await plane.until(lambda: {plane.state_of(node) for node in nodes} == {"ready"})
        assert tasks(plane) == before
    assert watches(plane) == lines
    assert threading.active_count() <= threads + 1
    assert plane.running(service) == sorted(before)


async def test_what_happens_while_nobody_leads_is_seen_to_by_the_next_leader(
    plane: ControlPlane,
) -> None:
    nodes, service = await running_on(plane, 4)
    await plane.manager.follow()
    ended = plane.running(service)[0]
    for node in nodes:
        if ended in node.executor.running:
            node.executor.end(ended, 1)
    other = await plane.create_service(2, name="other")
    await until_told(plane, nodes)
    assert len(tasks(plane)) == 4
    assert ended in plane.running(service)
    await plane.manager.lead()
    await plane.until(lambda: len(plane.running(other)) == 2)
    await plane.until(
        lambda: len(plane.running(service)) == 4 and ended not in plane.running(service)
    )


async def test_a_node_is_not_called_lost_by_who_does_not_lead(plane: ControlPlane) -> None:
    nodes, _ = await running_on(plane, 4)
    await plane.manager.follow()
    await nodes[0].stop()
    await asyncio.sleep(LONGER_THAN_A_GRACE_S)
    assert plane.state_of(nodes[0]) == "ready"
    await plane.manager.lead()
    await plane.until(lambda: plane.state_of(nodes[0]) == "down")
    await plane.until(lambda: len(nodes[1].executor.running) == 4)


async def test_calls_are_refused_by_who_does_not_lead(plane: ControlPlane) -> None:
    _, service = await running_on(plane, 2)
    await plane.manager.follow()
    node_id = tasks(plane)[plane.running(service)[0]].node_id
    says = "no manager leads here now: try again in a moment"
    with pytest.raises(Unavailable, match=says):
        plane.manager.call(node_id, ReadLogs("t"))
    with pytest.raises(Unread, match=says):
        await to_the_end(plane, service)


async def test_a_call_under_way_ends_with_the_leading(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def endless(task: Task, request: ReadLogs) -> AsyncIterator[LogFrame]:
        yield LogFrame(1, 1, b"a line")
        asked.set()
        await asyncio.Event().wait()

    nodes, service = await running_on(plane, 1)
    for node in nodes:
        monkeypatch.setattr(node.executor, "logs", endless)
    reading = asyncio.create_task(to_the_end(plane, service))
    await asked.wait()
    await plane.manager.follow()
    with pytest.raises(Unread, match="went away"):
        await reading


async def to_the_end(plane: ControlPlane, service: str) -> None:
    async for _ in plane.manager.logs.read(LogSelector(service_ids=(service,)), LogOptions()):
        pass


@pytest.mark.logs_errors("the store's writer failed", "the manager failed")
async def test_a_manager_whose_store_failed_leads_no_more(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await plane.join("n1")

    def broken(*_: object) -> None:
        raise KeyError("a table")

    monkeypatch.setattr(plane.manager.store.view, "apply", broken)
    with pytest.raises(Unavailable):
        await plane.create_service(1)
    await plane.until(lambda: node.agent.problem == "the manager's store failed")
    assert plane.manager.leadership is None
    await plane.until(lambda: not at_work())
