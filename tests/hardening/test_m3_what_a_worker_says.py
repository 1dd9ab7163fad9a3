"""M3: what a worker said was stored without bounds: of value, so that listings failed for
everybody; of size, so that the store and memory grew; raw, so that it reached people's terminals.

Types bound it at the line, one door makes it plain, and each node has an allowance of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from skep.kit.clock import utc_now
from skep.kit.errors import SkepError
from skep.manager.dispatcher.reports import Reports
from skep.model.node import EngineDescription, NodeDescription
from skep.model.service import PortConfig, Resources
from skep.model.states import TaskState
from skep.model.task import ContainerStatus, PortStatus, Task, TaskStatus
from skep.protocol.calls import WINDOW, Stream
from skep.protocol.link import LinkClosed
from skep.protocol.messages import (
    CHUNK_BYTES,
    Chunk,
    Credit,
    End,
    FromAgent,
    FromManager,
    Goodbye,
    Hello,
    ReadLogs,
    Statuses,
    TaskReport,
    Welcome,
)
from skep.protocol.tls import connect, member_context
from skep.protocol.wire import pack
from skep.store.change import Create
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing import builders as b
from skep.testing.control_plane import ControlPlane, FakeNode

RUNNING, FAILED = TaskState.RUNNING, TaskState.FAILED
WEB = b.service(name="web")
ESCAPE = "\x1b[2J\r\n\x9b\u202eevil\x00"


def status(state: TaskState = RUNNING, **fields: Any) -> TaskStatus:
    return TaskStatus(**{"timestamp": b.at(1), "state": state, **fields})


@pytest.mark.parametrize(
    "said",
    [
        status(container_status=ContainerStatus(pid=2**64 - 1)),
        status(container_status=ContainerStatus(pid=-1)),
        status(container_status=ContainerStatus(exit_code=2**40)),
        status(container_status=ContainerStatus(container_id="x" * 1000)),
        status(container_status=ContainerStatus(container_id="a\x1b[2Jb")),
        status(port_status=PortStatus(ports=[PortConfig()] * 2_000)),
        status(message="x" * 100_000),
        status(err="x" * 100_000),
    ],
    ids=lambda said: "",
)
def test_a_status_beyond_its_bounds_is_no_message(said: TaskStatus) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(pack(Statuses([TaskReport("t", said)]))[4:], type=FromAgent)


@pytest.mark.parametrize(
    "said",
    [
        NodeDescription(resources=Resources(nano_cpus=2**64 - 1)),
        NodeDescription(hostname="x" * 10_000),
        NodeDescription(engine=EngineDescription(labels={str(n): "" for n in range(10_000)})),
    ],
    ids=["cpus", "hostname", "labels"],
)
def test_a_description_beyond_its_bounds_is_no_message(said: NodeDescription) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(pack(Hello(said))[4:], type=FromAgent)


def test_frames_of_tiny_reports_end_soon() -> None:
    reports = [TaskReport("t", status())] * 2_000
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(pack(Statuses(reports))[4:], type=FromAgent)


@asynccontextmanager
async def reporting(tmp_path: Path, *tasks: Task) -> AsyncIterator[tuple[Primary, Reports]]:
    store = Primary(SqliteLog(tmp_path / "store.db"))
    await store.start()
    await store.commit([Create(task) for task in tasks])
    reports = Reports(store, utc_now)
    running = asyncio.create_task(reports.run())
    try:
        yield store, reports
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()


async def until_state(store: Primary, task_id: str, state: TaskState, within_s: float = 10) -> Task:
    async with asyncio.timeout(within_s):
        while (task := store.view.task(task_id)) is None or task.status.state is not state:
            await asyncio.sleep(0.01)
    return task


def assigned(task_id: str, on: str = "n1", slot: int = 1) -> Task:
    return b.task(task_id, WEB, slot, on=on, state=TaskState.ASSIGNED)


async def test_what_ends_in_a_terminal_is_plain_and_short(tmp_path: Path) -> None:
    async with reporting(tmp_path, assigned("t")) as (store, reports):
        said = status(FAILED, err=ESCAPE + "x" * 50_000, message=ESCAPE + "y" * 50_000)
        reports.take("n1", "t", said)
        kept = (await until_state(store, "t", FAILED)).status
    for text, most in ((kept.err, 8_192), (kept.message, 1_024)):
        assert text.isprintable()
        assert text.startswith((" [2J evil x", " [2J evil y"))
        assert len(text) <= most


async def test_a_node_that_joins_has_a_plain_name(plane: ControlPlane) -> None:
    node = await plane.enrol("n1")
    node.executor.hostname = ESCAPE
    await node.start()
    await plane.until(node.agent.connected.is_set)
    found = plane.manager.store.view.node(node.id)
    assert found is not None
    assert found.description.hostname == " [2J evil "


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_that_cannot_be_true_is_not_shown(moment: datetime) -> None:
    from skep.manager.dispatcher.sanitized import status_of

    now = b.at(100)
    kept = status_of(assigned("t"), status(timestamp=moment), now)
    assert kept is not None
    assert abs(kept.timestamp - now) <= timedelta(days=1, seconds=100)


_NOT_ITS_TO_SAY = [state for state in TaskState if not TaskState.ACCEPTED <= state <= "rejected"]


@pytest.mark.parametrize("state", _NOT_ITS_TO_SAY)
async def test_a_node_reports_only_states_that_an_agent_sees(
    tmp_path: Path, state: TaskState
) -> None:
    async with reporting(tmp_path, assigned("t"), assigned("u")) as (store, reports):
        reports.take("n1", "t", status(state))
        reports.take("n1", "u", status(RUNNING))
        await until_state(store, "u", RUNNING)
        task = store.view.task("t")
        assert task is not None
        assert task.status == assigned("t").status


async def test_what_is_dead_or_not_yet_given_has_nothing_to_report(tmp_path: Path) -> None:
    """A global service's tasks have their node from birth, before they are theirs to run."""
    dead = b.task("dead", WEB, state=TaskState.COMPLETE)
    new = b.task("new", WEB, 2, state=TaskState.NEW)
    async with reporting(tmp_path, dead, new, assigned("t")) as (store, reports):
        for task_id in ("dead", "new", "t"):
            reports.take("n1", task_id, status(FAILED))
        await until_state(store, "t", FAILED)
        states = {task.id: task.status.state for task in store.view.tasks()}
        assert states == {"dead": TaskState.COMPLETE, "new": TaskState.NEW, "t": FAILED}


async def test_a_flood_of_one_node_is_stored_slowly_and_delays_no_other(tmp_path: Path) -> None:
    mine = [assigned(f"t{n}", slot=n) for n in range(1, 101)]
    async with reporting(tmp_path, *mine, assigned("other", on="n2")) as (store, reports):
        began, before = asyncio.get_running_loop().time(), store.view.revision
        written = 0
        watch = store.watch()
        for number in range(60):
            for task in mine:
                reports.take("n1", task.id, status(err=f"{number}"))
            await asyncio.sleep(0.01)
        reports.take("n2", "other", status())
        await until_state(store, "other", RUNNING, within_s=2)
        took_s = asyncio.get_running_loop().time() - began
        while (commit := watch.next_nowait()) is not None:
            written += len(commit.events)
        watch.close()
        assert store.view.revision > before
        assert written <= 2_000 + 500 * took_s + 200


async def session_of(plane: ControlPlane, node: FakeNode, hello: Hello) -> Any:
    context = member_context(node.identity.files)
    link: Any = await connect(plane.address, context, FromManager)
    await link.send(hello)
    return link


async def test_a_frame_of_a_worker_is_a_mebibyte_at_most(
    plane: ControlPlane, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    node = await plane.enrol("n1")
    link = await session_of(plane, node, Hello(NodeDescription(hostname="n1")))
    assert isinstance(await link.receive(), Welcome)
    link.transport.write((2 * 1024 * 1024).to_bytes(4))
    with pytest.raises(LinkClosed):
        async with asyncio.timeout(10):
            while True:
                await link.receive()
    await plane.until(lambda: "it sent a frame that is too large" in caplog.text)


async def test_a_description_is_small(plane: ControlPlane) -> None:
    node = await plane.enrol("n1")
    labels = {f"label{n}": "x" * 4_000 for n in range(100)}
    said = NodeDescription(hostname="n1", engine=EngineDescription(labels=labels))
    link = await session_of(plane, node, Hello(said))
    with pytest.raises(LinkClosed):
        async with asyncio.timeout(10):
            while True:
                await link.receive()
    found = plane.manager.store.view.node(node.id)
    assert found is not None
    assert not found.description.engine.labels


async def test_a_node_that_opens_sessions_without_end_is_written_down_seldom(
    plane: ControlPlane,
) -> None:
    node = await plane.enrol("n1")
    watch = plane.manager.store.watch()
    began = asyncio.get_running_loop().time()
    for number in range(60):
        said = NodeDescription(hostname=f"n{number}")
        link = await session_of(plane, node, Hello(said))
        await asyncio.sleep(0.01)
        link.abort()
    took_s = asyncio.get_running_loop().time() - began
    written = 0
    while (commit := watch.next_nowait()) is not None:
        written += len(commit.events)
    watch.close()
    assert 0 < written <= 20 + 2 * took_s + 5


async def test_long_reports_go_in_frames_that_a_manager_takes(plane: ControlPlane) -> None:
    node = await plane.join("n1")
    service = await plane.create_service(1)
    await plane.until(lambda: len(plane.running(service)) == 1)
    session = node.agent._session
    assert session is not None
    (task_id,) = plane.running(service)
    reports = [TaskReport(f"none{n}", status(FAILED, err="\u20ac" * 8_000)) for n in range(500)]
    last = replace(status(FAILED, err="last"), timestamp=utc_now())
    await session.report([*reports, TaskReport(task_id, last)])
    view = plane.manager.store.view

    def heard() -> bool:
        task = view.task(task_id)
        return task is not None and task.status.err == "last"

    await plane.until(heard)
    assert node.agent._session is session


@asynccontextmanager
async def asked(plane: ControlPlane) -> AsyncIterator[tuple[FakeNode, Any, Stream]]:
    """A worker of which a manager wants a log, its line, and the manager's end of the call."""
    node = await plane.enrol("n1")
    link = await session_of(plane, node, Hello(NodeDescription(hostname="n1")))
    await plane.until(lambda: plane.state_of(node) == "ready")
    try:
        async with plane.manager.call(node.id, ReadLogs("t")) as stream:
            async with asyncio.timeout(10):
                while not isinstance(word := await link.receive(), Credit):
                    assert not isinstance(word, Goodbye)
            yield node, link, stream
    finally:
        link.abort()


async def test_more_of_a_log_than_was_asked_for_ends_the_line(plane: ControlPlane) -> None:
    async with asked(plane) as (_, link, stream):
        with suppress(LinkClosed):
            for _ in range(2 * WINDOW // CHUNK_BYTES):
                await link.send(Chunk(1, b"x" * CHUNK_BYTES))
        await plane.until(lambda: stream.is_complete)
        assert len(await stream.receive()) == WINDOW
        with pytest.raises(LinkClosed, match="went away"):
            await stream.receive()


async def test_crumbs_of_a_log_fill_no_more_than_their_bytes(plane: ControlPlane) -> None:
    async with asked(plane) as (_, link, stream):
        for _ in range(5_000):
            await link.send(Chunk(1, b"x"))
        await link.send(End(1))
        await plane.until(lambda: stream.is_complete)
        assert await stream.receive() == b"x" * 5_000


async def test_words_about_calls_that_are_not_there_are_dropped(plane: ControlPlane) -> None:
    async with asked(plane) as (node, link, stream):
        for call_id in (-1, 0, 2, 2**63 - 1):
            for word in (Chunk(call_id, b"x"), Credit(call_id, 5), End(call_id, "x")):
                await link.send(word)
        await link.send(End(1, ESCAPE + "x" * 60_000))
        with pytest.raises(SkepError) as raised:
            await stream.receive()
        assert str(raised.value).startswith(" [2J evil x")
        assert str(raised.value).isprintable() and len(str(raised.value)) <= 4_096
        assert plane.state_of(node) == "ready"
