"""The loop that drives the rooms: look, plan, commit, look again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from skep.kit.clock import utc_now
from skep.manager import slices
from skep.manager.agenda import Agendas
from skep.manager.loop import Loop
from skep.manager.observations import Seen
from skep.manager.room import NewId, Plan
from skep.model.base import Version
from skep.store.change import Change, Commit, Create, Event, Update, View
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing import builders as b


class Recorder:
    """A room that plans what a test gives it and remembers what it was asked."""

    name = "recorder"

    def __init__(self) -> None:
        self.asked: list[frozenset[str]] = []
        self.plans: list[Plan | Exception] = []

    def dirty(self, event: Event, view: View) -> Iterable[str]:
        return (event.new.id,) if event.new is not None else ()

    def everything(self, view: View) -> Iterable[str]:
        return [service.id for service in view.services()]

    def plan(
        self, view: View, seen: Seen, keys: frozenset[str], now: datetime, new_id: NewId
    ) -> Plan:
        self.asked.append(keys)
        plan = self.plans.pop(0) if self.plans else Plan()
        if isinstance(plan, Exception):
            raise plan
        return plan

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(5):
            while len(self.asked) < times:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def driven(tmp_path: Path, room: Recorder) -> AsyncIterator[Primary]:
    store = Primary(SqliteLog(tmp_path / "store.db"))
    await store.start()
    await store.commit([Create(b.service(name="web"))])
    running = asyncio.create_task(Loop(store, [room]).run())
    yield store
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await store.close()


async def test_everything_is_planned_at_the_start_and_then_what_changed(tmp_path: Path) -> None:
    room = Recorder()
    async with driven(tmp_path, room) as store:
        await room.until_asked(1)
        await store.commit([Create(b.service(name="db"))])
        await room.until_asked(2)
    assert room.asked == [frozenset({"web"}), frozenset({"db"})]


async def test_a_key_is_planned_again_at_its_time(tmp_path: Path) -> None:
    room = Recorder()
    room.plans = [Plan(wake={"web": utc_now() + timedelta(milliseconds=50)})]
    async with driven(tmp_path, room):
        await room.until_asked(2)
    assert room.asked == [frozenset({"web"})] * 2


async def test_a_refused_plan_is_made_again_on_the_newer_view(tmp_path: Path) -> None:
    room = Recorder()
    stale = replace(b.service(name="web"), version=Version(99))
    room.plans = [Plan(changes=(Update(stale),))]
    async with driven(tmp_path, room):
        await room.until_asked(2)
    assert room.asked == [frozenset({"web"})] * 2


@pytest.mark.logs_errors("cannot plan")
async def test_a_key_that_cannot_be_planned_holds_up_no_other(tmp_path: Path) -> None:
    room = Recorder()
    async with driven(tmp_path, room) as store:
        await room.until_asked(1)
        room.plans = [ValueError("together"), Plan(), ValueError("one of them")]
        await store.commit([Create(b.service(name="a")), Create(b.service(name="b"))])
        await room.until_asked(4)
    together = frozenset({"a", "b"})
    assert room.asked[1:4] == [together, frozenset({"a"}), frozenset({"b"})]


def births(*names: str) -> list[Create]:
    return [Create(b.service(name=name)) for name in names]


async def test_what_is_left_of_a_large_plan_follows_in_commits_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "A_PLAN", 2)
    room = Recorder()
    room.plans = [Plan(changes=tuple(births("a")), rest={"web": iter(births("b", "c", "d"))})]
    async with driven(tmp_path, room) as store:
        await room.until_asked(4)
        assert [store.view.service(name) is not None for name in "abcd"] == [True] * 4
    assert room.asked[0] == frozenset({"web"})
    assert frozenset({"b", "c"}) in room.asked, "two of them are one commit"


def test_what_is_left_is_forgotten_when_its_key_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The new look knows better. What is left of another key goes on."""
    monkeypatch.setattr(slices, "A_PLAN", 2)
    room = Recorder()
    other = b.service(name="other")
    rest: dict[str, Iterator[Change]] = {
        "web": iter(births("b1", "b2", "b3")),
        "other": iter(births("c1", "c2", "c3")),
    }
    agendas = Agendas([room], b.ids())
    view = b.view(b.service(name="web"), other)
    agendas.look_at_all(view)
    room.plans = [Plan(rest=rest)]
    turns = []
    for number in range(3):
        turn = agendas.next_turn(view, b.at(number))
        while turn is None:
            turn = agendas.next_turn(view, b.at(number))
        turns.append(turn)
        agendas.settle(turn, None, b.at(number))
    assert [turn.plan.changes for turn in turns] == [
        (),
        tuple(births("b1", "b2")),
        tuple(births("c1", "c2")),
    ]
    agendas.follow(Commit(9, (Event("service", "update", None, b.service(name="web")),)), view)
    again = agendas.next_turn(view, b.at(5)) or agendas.next_turn(view, b.at(5))
    assert again is not None
    assert again.keys == frozenset({"web"})
    agendas.settle(again, None, b.at(5))
    left = agendas.next_turn(view, b.at(6))
    assert left is not None
    assert left.plan.changes == tuple(births("c3"))


async def test_a_slice_that_is_refused_has_its_keys_looked_at_again(tmp_path: Path) -> None:
    room = Recorder()
    stale = replace(b.service(name="web"), version=Version(99))
    room.plans = [Plan(rest={"web": iter([Update(stale), *births("b")])})]
    async with driven(tmp_path, room) as store:
        await room.until_asked(2)
        assert store.view.service("b") is None, "all or none of a slice"
    assert room.asked == [frozenset({"web"})] * 2


@pytest.mark.logs_errors("cannot plan")
async def test_a_rest_that_cannot_be_made_is_trouble_of_its_keys(tmp_path: Path) -> None:
    def broken() -> Iterator[Change]:
        yield from births("b")
        raise ValueError("the next one cannot be made")

    room = Recorder()
    room.plans = [Plan(rest={"web": broken()})]
    async with driven(tmp_path, room):
        await room.until_asked(2)
    assert room.asked == [frozenset({"web"})] * 2
