"""C3: one worker stopped the scheduler of the whole cluster with one status, over restarts too.

The time of a status had no zone, and comparing it raised in the one plan of all that waits. Such
times are refused at the line and read as UTC from an older store; and what cannot be planned, for
whatever reason, holds up nothing else in any room and is said once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from skep.manager.allocator import Allocator
from skep.manager.allocator import endpoints as endpoints_module
from skep.manager.leadership import rooms
from skep.manager.loop import Loop
from skep.manager.observations import NOTHING_SEEN, Seen
from skep.manager.room import NewId, Plan
from skep.manager.scheduler import Scheduler
from skep.manager.scheduler.ledger import ClusterLedger
from skep.model.service import Service
from skep.model.states import TaskState
from skep.model.task import Task, TaskStatus
from skep.protocol.messages import FromAgent, Statuses, TaskReport
from skep.store.change import Create, Event, Stored, Update, View
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing import builders as b

PENDING = TaskState.PENDING
WEB, DB = b.service(2, name="web"), b.service(1, name="db")


def waiting(task_id: str, of: Service) -> Task:
    return b.task(task_id, of, on="", state=PENDING)


def test_a_status_whose_time_has_no_zone_is_no_message() -> None:
    status = TaskStatus(timestamp=datetime(2026, 11, 27), state=TaskState.FAILED)
    frame = msgspec.msgpack.encode(Statuses([TaskReport("t", status)]))
    with pytest.raises(msgspec.ValidationError, match="timezone"):
        msgspec.msgpack.decode(frame, type=FromAgent)


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_manager_that_stored_such_a_time_plans_on(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Primary(SqliteLog(path))
    await store.start()
    naive = TaskStatus(timestamp=datetime(2026, 11, 27), state=TaskState.FAILED)
    dead = b.task("t1", WEB, 1, desired=TaskState.SHUTDOWN, state=TaskState.FAILED)
    made: list[Stored] = [
        WEB,
        DB,
        b.node(),
        replace(dead, status=naive),
        waiting("t2", WEB),
        waiting("t3", DB),
    ]
    await store.commit([Create(new) for new in made])
    await store.close()

    again = Primary(SqliteLog(path))
    await again.start()
    running = asyncio.create_task(Loop(again, rooms()).run())
    try:
        await until(lambda: all(t.status.state is not PENDING for t in again.view.tasks()))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await again.close()


def refusing(method: Callable[..., Any], bad: str) -> Callable[..., Any]:
    """The method, which fails for whatever is of the service `bad`."""

    def refused(*words: Any) -> Any:
        if any(bad in str(getattr(word, "id", word)) for word in words):
            raise TypeError(f"{bad} cannot be compared")
        return method(*words)

    return refused


def test_a_group_that_cannot_be_scheduled_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        ClusterLedger, "nodes_to_avoid", refusing(ClusterLedger.nodes_to_avoid, "web")
    )
    zoo = b.service(1, name="zoo")
    view = b.view(WEB, DB, zoo, b.node(), *map(waiting, "abc", (DB, WEB, zoo)))
    plan = Scheduler().plan(view, NOTHING_SEEN, frozenset({"all"}), b.at(5), b.ids())
    assert [change.new.id for change in plan.changes if isinstance(change, Update)] == ["a", "c"]
    assert list(plan.faults) == ["tasks of web"]


def test_a_group_that_fails_half_way_gives_back_what_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second of its tasks cannot be placed: the first is not either, and the room is free."""
    room = Scheduler()
    web = b.service(2, name="aaa")
    view = b.view(web, DB, b.node(), waiting("a", web), waiting("z", web), waiting("d", DB))
    room.everything(view)
    assert room._ledger is not None
    info = room._ledger.infos["n1"]
    count = info.take

    def take(self: object, task: Task, need: Any) -> None:
        if task.id == "z":
            raise TypeError("z has no place")
        count(task, need)

    monkeypatch.setattr(type(info), "take", take)
    plan = room.plan(view, NOTHING_SEEN, frozenset({"all"}), b.at(5), b.ids())
    assert [change.new.id for change in plan.changes if isinstance(change, Update)] == ["d"]
    assert info.tasks == 0


def test_a_service_that_cannot_be_allocated_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fails = refusing(endpoints_module.allocate, "web")
    monkeypatch.setattr(endpoints_module, "allocate", fails)
    new = [b.task(i, of, on="", state=TaskState.NEW) for i, of in (("a", WEB), ("b", DB))]
    plan = Allocator().plan(
        b.view(WEB, DB, *new), NOTHING_SEEN, frozenset({"all"}), b.at(5), b.ids()
    )
    assert {"db", "b"} <= {change.new.id for change in plan.changes if isinstance(change, Update)}
    assert list(plan.faults) == ["service web"]


def test_a_task_that_cannot_be_counted_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClusterLedger, "_add", refusing(ClusterLedger._add, "bad"))
    room = Scheduler()
    view = b.view(WEB, b.node(), waiting("bad", WEB), waiting("good", WEB))
    room.everything(view)
    plan = room.plan(view, NOTHING_SEEN, frozenset({"all"}), b.at(5), b.ids())
    assert [change.new.id for change in plan.changes if isinstance(change, Update)] == ["good"]
    gone = Event("task", "remove", view.task("bad"), None)
    assert list(room.dirty(gone, view)), "its sums are counted afresh"


class Broken:
    """A room that cannot plan one of its keys, and says when it was asked for it."""

    name = "broken"

    def __init__(self) -> None:
        self.planned: list[str] = []
        self.tries: list[float] = []
        self.mended = False

    def dirty(self, event: Event, view: View) -> Iterable[str]:
        return (event.new.id,) if event.new is not None else ()

    def everything(self, view: View) -> Iterable[str]:
        return [service.id for service in view.services()]

    def plan(
        self, view: View, seen: Seen, keys: frozenset[str], now: datetime, new_id: NewId
    ) -> Plan:
        if "web" in keys and not self.mended:
            self.tries.append(asyncio.get_running_loop().time())
            raise TypeError("can't compare")
        self.planned += sorted(keys)
        return Plan()


class Unkept(Broken):
    """A room that wants what the store cannot keep, for one of its keys."""

    name = "unkept"

    def dirty(self, event: Event, view: View) -> Iterable[str]:
        return ()

    def plan(
        self, view: View, seen: Seen, keys: frozenset[str], now: datetime, new_id: NewId
    ) -> Plan:
        slots = {"web": 2**64, "db": 1}
        return Plan(tuple(Create(b.task(f"of-{key}", WEB, slots[key])) for key in sorted(keys)))


@pytest.mark.logs_errors("cannot plan")
async def test_a_plan_that_cannot_be_stored_fails_for_its_own_key(tmp_path: Path) -> None:
    store = Primary(SqliteLog(tmp_path / "store.db"))
    await store.start()
    await store.commit([Create(WEB), Create(DB)])
    running = asyncio.create_task(Loop(store, [Unkept()]).run())
    try:
        await until(lambda: [task.id for task in store.view.tasks()] == ["of-db"])
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()


@pytest.mark.logs_errors("cannot plan")
async def test_what_cannot_be_planned_is_said_once_and_tried_ever_more_seldom(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    room = Broken()
    store = Primary(SqliteLog(tmp_path / "store.db"))
    await store.start()
    await store.commit([Create(WEB)])
    running = asyncio.create_task(Loop(store, [room]).run())
    try:
        await until(lambda: len(room.tries) == 1)
        await store.commit([Create(DB)])
        await until(lambda: room.planned == ["db"])
        await until(lambda: len(room.tries) == 3)
        first, second, third = room.tries
        assert second - first > 0.9
        assert third - second > 1.9
        assert sum("cannot plan web" in message for message in caplog.messages) == 1
        room.mended = True
        await store.commit([Update(store.view.services()[1])])
        await until(lambda: "web" in room.planned)
        await until(lambda: "broken plans web again" in caplog.messages)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()
