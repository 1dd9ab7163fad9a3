"""Whatever a worker with a good certificate says, it harms nothing but its own tasks; and whatever
a manager says, an agent outlives it.

Seeded; SKEP_FUZZ says how many messages (a thousand or two where nothing is said).
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from datetime import datetime
from itertools import cycle
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from skep.agent.agent import Agent
from skep.agent.identity import Identity
from skep.agent.roster import Roster
from skep.kit.clock import utc_now
from skep.kit.errors import SkepError
from skep.kit.jobs import log as jobs_log
from skep.manager.dispatcher import dispatcher
from skep.manager.dispatcher.nodes import NodeStates
from skep.manager.dispatcher.reports import Reports
from skep.manager.leadership import rooms
from skep.manager.loop import Loop
from skep.model.base import encode_json
from skep.model.cluster import ClusterSecrets
from skep.model.network import Network
from skep.model.node import NodeDescription
from skep.model.states import TaskState
from skep.model.task import Task
from skep.protocol.link import LinkClosed
from skep.protocol.messages import (
    Assigned,
    Assignments,
    Described,
    FromAgent,
    FromManager,
    Hello,
    Statuses,
    Welcome,
)
from skep.protocol.tls import connect, member_context
from skep.protocol.wire import BadFrame, WireLink
from skep.store.change import Create, Stored
from skep.store.form import decode, encode
from skep.store.kinds import kind_of
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing import builders as b
from skep.testing.control_plane import ControlPlane
from skep.testing.executor import FakeExecutor
from skep.testing.frames import Frames

COUNT = int(os.environ.get("SKEP_FUZZ", "0"))
WEB, DB = b.service(12, name="web"), b.service(3, name="db")


def decoded(link: Any, frame: bytes) -> Any:
    """The message, or None for what is none: nothing else may come of a frame."""
    try:
        return link._decode(frame)
    except BadFrame:
        return None


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What went wrong that nobody foresaw: it has a traceback."""
    return [record.getMessage() for record in caplog.records if record.exc_info]


def check_kept(store: Primary) -> None:
    """Whatever is stored can be shown to Go's clients and be read again."""
    for stored in store.view.all():
        if not isinstance(stored, ClusterSecrets):
            check_shown(msgspec.json.decode(encode_json(stored)), type(stored).__name__)
        kind = kind_of(stored).name
        assert decode(kind, stored.id, encode(kind, stored)) == stored


def check_shown(value: Any, where: str) -> None:
    match value:
        case dict():
            for key, inner in value.items():
                check_shown(inner, f"{where}.{key}")
        case list():
            for inner in value:
                check_shown(inner, where)
        case bool():
            pass
        case int():
            assert -(2**63) <= value < 2**63, where
        case str() if where.endswith(("At", "Timestamp", "Since")):
            moment = datetime.fromisoformat(value)
            assert moment.tzinfo is not None and moment.year <= 9999, where
        case str():
            assert value.isprintable() or "Spec" in where or "TrustRoot" in where, (where, value)


async def settled(reports: Reports) -> None:
    async with asyncio.timeout(60):
        while reports._waiting:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_manager_outlives_whatever_a_worker_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    store = Primary(SqliteLog(tmp_path / "store.db"))
    await store.start()
    states = [state for state in TaskState if TaskState.NEW <= state <= TaskState.FAILED]
    own = [b.task(f"own{n}", WEB, n + 1, state=states[n % len(states)]) for n in range(12)]
    others = [b.task(f"other{n}", DB, n + 1, on="n2") for n in range(3)]
    made: list[Stored] = [WEB, DB, b.cluster(), *b.nodes(2), *own, *others]
    await store.commit([Create(new) for new in made])
    clock = utc_now
    reports, nodes = Reports(store, clock), NodeStates(store, clock)
    jobs = [asyncio.create_task(reports.run()), asyncio.create_task(Loop(store, rooms()).run())]
    link: WireLink[Any, Any] = WireLink(FromAgent)
    words = [task.id for task in (*own, *others)]
    frames = Frames(FromAgent, random.Random(seed), words)
    understood = 0
    for number in range(COUNT // 2 or 600):
        message = decoded(link, frames.next())
        understood += message is not None
        match message:
            case Statuses():
                for report in message.reports:
                    reports.take("n1", report.task_id, report.status)
            case Hello() | Described():
                try:
                    await nodes.described("n1", message.description)
                except LinkClosed:
                    pass  # too large
        if number % 50 == 0:
            await asyncio.sleep(0.005)
    assert understood > 100
    await settled(reports)
    check_kept(store)
    assert not any(job.done() for job in jobs)
    db = [store.view.task(task.id) for task in others]
    assert [task and task.status for task in db] == [task.status for task in others]
    async with asyncio.timeout(10):
        await store.commit([Create(b.service(1, name="later"))])
        while not any(task.node_id for task in store.view.tasks_of_service("later")):
            await asyncio.sleep(0.01)
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    await store.close()
    assert complaints(caplog) == []


async def test_a_worker_on_the_line_harms_nobody_else(
    plane: ControlPlane, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_OPENINGS_BURST", 1e6)  # it is hung up on often
    good = await plane.join("good")
    service = await plane.create_service(3)
    await plane.until(lambda: len(plane.running(service)) == 3)
    session, running = good.agent._session, sorted(plane.running(service))
    bad = await plane.enrol("bad")
    frames = Frames(FromAgent, random.Random(3), [*running, bad.id, good.id], honest=0.995)
    context = member_context(bad.identity.files)
    said = 0
    while said < (COUNT // 10 or 120):
        link: Any = await connect(plane.address, context, FromManager)
        try:
            await link.send(Hello(NodeDescription(hostname="bad")))
            await link.receive()
            for _ in range(20):
                frame = frames.next()
                said += 1
                link.transport.write(len(frame).to_bytes(4) + frame)
                await asyncio.sleep(0.002)
        except SkepError:
            pass  # it was hung up on
        finally:
            link.abort()
        await asyncio.sleep(0.01)
    assert good.agent._session is session
    assert sorted(plane.running(service)) == running
    check_kept(plane.manager.store)
    await plane.create_service(2, name="after")
    await plane.until(lambda: len(good.executor.running) == 5)
    assert complaints(caplog) == []


class Script:
    """A line on which a manager says what it is given, and then hangs up."""

    def __init__(self, messages: list[Any]) -> None:
        self._messages = messages
        self.closed = False

    async def send(self, message: Any) -> None:
        if self.closed:
            raise LinkClosed

    async def receive(self) -> Any:
        await asyncio.sleep(0)
        if not self._messages or self.closed:
            raise LinkClosed
        return self._messages.pop(0)

    def close(self) -> None:
        self.closed = True


async def test_an_agent_outlives_whatever_a_manager_says(
    plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("skep.agent"), "propagate", False)  # it is much
    faults: list[str] = []
    monkeypatch.setattr(jobs_log, "error", lambda *words, **_: faults.append(str(words)))
    node = await plane.enrol("n1")
    script: list[Any] = []

    async def dial() -> Any:
        return Script(script)

    identity = Identity(node.folder, random.Random(3))
    identity.load()
    roots = identity.files.roots.read_text()
    executor = FakeExecutor()
    roster = Roster(tmp_path / "managers.json", [])
    agent = Agent(node.id, executor, identity, roster, tmp_path / "agent", dial)
    (tmp_path / "agent").mkdir()
    await agent.start()
    jobs = [asyncio.create_task(agent.worker.run()), asyncio.create_task(agent._reporter.run())]
    assert plane.manager.leadership is not None
    standing = plane.manager.leadership.dispatcher._standing(node.id)
    link: WireLink[Any, Any] = WireLink(FromManager)
    kinds = {kind.__name__ for kind in get_args(FromManager)}
    frames = Frames(FromManager, random.Random(5), [node.id, "t1", "t2"], honest=0.995)
    bodies = {
        kind: Frames(form, random.Random(6), [node.id, "t1", "t2"], honest=0.995)
        for kind, form in {"task": Task | None, "network": Network | None, "?": str | None}.items()
    }
    told = (
        Assigned(kind, f"t{number % 9}", number, bodies[kind].next())
        for number, kind in enumerate(cycle(bodies))
    )
    understood: set[str] = set()
    for _ in range(COUNT // 20 or 60):
        said = [decoded(link, frames.next()) for _ in range(10)]
        understood |= {type(message).__name__ for message in said if message is not None}
        script[:] = [
            Welcome("s", standing),
            Assignments(results_in=1),
            *(message for message in said if message is not None),
            *(Assignments(results_in=1, assigned=[next(told)]) for _ in range(9)),
        ]
        async with asyncio.timeout(20):
            await agent._try_session()
    assert understood >= kinds - {"NoneType"}
    assert not any(job.done() for job in jobs)
    assert faults == []
    identity.client_context()
    assert identity.files.roots.read_text() == roots
    task = b.task("honest", WEB, state=TaskState.ASSIGNED, on=node.id)
    script[:] = [Welcome("s", standing), Assignments(results_in=1, assigned=b.assigned(task))]
    await agent._try_session()
    await plane.until(lambda: "honest" in executor.running)
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    await agent.close()
