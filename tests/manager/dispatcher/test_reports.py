"""What agents report becomes the task's status: newest of each, only forward, only their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from skep.kit.clock import utc_now
from skep.kit.errors import OutOfSequence
from skep.manager.dispatcher.reports import Reports, reported
from skep.model.states import TaskState
from skep.model.task import TaskStatus
from skep.store.change import Create, Update
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing import builders as b

WEB = b.service(name="web")
ASSIGNED = b.task("t", WEB, state=TaskState.ASSIGNED)


def status(state: TaskState, at: float = 1, err: str = "") -> TaskStatus:
    return TaskStatus(timestamp=b.at(at), state=state, err=err)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Primary]:
    store = Primary(SqliteLog(tmp_path / "store.db"))
    await store.start()
    await store.commit([Create(ASSIGNED)])
    yield store
    await store.close()


@asynccontextmanager
async def running(reports: Reports) -> AsyncIterator[None]:
    job = asyncio.create_task(reports.run())
    try:
        yield
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)


def state(store: Primary) -> TaskState:
    task = store.view.task("t")
    assert task is not None
    return task.status.state


async def settled(store: Primary, wanted: TaskState) -> None:
    async with asyncio.timeout(5):
        while state(store) is not wanted:
            await asyncio.sleep(0.005)


async def test_the_newest_of_several_reports_is_stored_once(store: Primary) -> None:
    reports = Reports(store, utc_now)
    before = store.view.revision
    for each in (TaskState.ACCEPTED, TaskState.PREPARING, TaskState.RUNNING):
        reports.take("n1", "t", status(each))
    async with running(reports):
        await settled(store, TaskState.RUNNING)
    assert store.view.revision == before + 1


async def test_a_report_that_was_overtaken_does_not_replace_the_newer(store: Primary) -> None:
    """Both may wait at the same time: a session's first word repeats what came before it."""
    reports = Reports(store, utc_now)
    reports.take("n1", "t", status(TaskState.FAILED, 9))
    reports.take("n1", "t", status(TaskState.RUNNING, 5))
    async with running(reports):
        await settled(store, TaskState.FAILED)


async def test_nobody_reports_on_another_s_task(store: Primary) -> None:
    reports = Reports(store, utc_now)
    reports.take("n1", "t", status(TaskState.RUNNING))
    reports.take("n2", "t", status(TaskState.FAILED, 9))
    reports.take("n2", "unknown", status(TaskState.FAILED, 9))
    async with running(reports):
        await settled(store, TaskState.RUNNING)
        await asyncio.sleep(0.05)
    assert state(store) is TaskState.RUNNING


async def test_a_task_that_somebody_else_wrote_meanwhile_is_read_again(store: Primary) -> None:
    reports = Reports(store, utc_now)
    async with running(reports):
        for _ in range(20):
            task = store.view.task("t")
            assert task is not None
            writing = asyncio.create_task(store.commit([Update(task, "somebody else")]))
            reports.take("n1", "t", status(TaskState.ACCEPTED))
            with suppress(OutOfSequence):
                await writing
        reports.take("n1", "t", status(TaskState.RUNNING))
        await settled(store, TaskState.RUNNING)


def test_states_only_go_forward() -> None:
    running_ = b.task("t", WEB, state=TaskState.RUNNING)
    view = b.view(running_)
    assert reported(view, "t", "n1", status(TaskState.STARTING), b.at(5)) is None
    assert reported(view, "t", "n1", running_.status, b.at(5)) is None
    assert reported(view, "t", "n2", status(TaskState.FAILED), b.at(5)) is None
    assert reported(view, "x", "n1", status(TaskState.FAILED), b.at(5)) is None
    failed = reported(view, "t", "n1", status(TaskState.FAILED, 3, "why"), b.at(5))
    assert failed is not None
    assert (failed.status.state, failed.status.err) == (TaskState.FAILED, "why")


def test_a_reason_without_end_is_cut() -> None:
    task = reported(b.view(ASSIGNED), "t", "n1", status(TaskState.FAILED, err="x" * 10**6), b.at(5))
    assert task is not None
    assert len(task.status.err) < 10_000
