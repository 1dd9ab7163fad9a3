"""What is observed is an argument of a plan: a made-up autoscaler decides by it, and nothing of it
is ever stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from skep.manager.control.services import Services
from skep.manager.leadership import rooms
from skep.manager.loop import Loop
from skep.manager.observations import NOTHING_SEEN, Observation, Observations, Seen
from skep.manager.orchestrator import Orchestrator
from skep.manager.room import NewId, Plan
from skep.model import defaults
from skep.store.change import Create, Event, Update, View
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing import builders as b
from skep.testing.transcript import look

_LOOK_EACH = timedelta(milliseconds=20)


class Autoscaler:
    """One replica for each ten waiting requests, as they were counted within the last minute."""

    name = "autoscaler"

    def dirty(self, event: Event, view: View) -> Iterable[str]:
        return (event.new.id,) if event.kind == "service" and event.new is not None else ()

    def everything(self, view: View) -> Iterable[str]:
        return [service.id for service in view.services()]

    def plan(
        self, view: View, seen: Seen, keys: frozenset[str], now: datetime, new_id: NewId
    ) -> Plan:
        services = [service for key in sorted(keys) if (service := view.service(key))]
        changes = []
        for service in services:
            queue = seen.newest("queue", service.id)
            if queue is None or queue.at < now - timedelta(minutes=1):
                continue
            wanted = max(1, round(queue.value / 10))
            if wanted != defaults.replicas(service):
                changed = replace(service, wanted_replicas=wanted)
                changes.append(Update(changed, why=f"{queue.value:g} requests wait"))
        return Plan(tuple(changes), wake=dict.fromkeys(keys, now + _LOOK_EACH))


def test_a_plan_is_made_of_the_view_and_of_what_was_seen() -> None:
    view = b.view(b.service(2))
    seen = Observations()
    keys = frozenset({"web"})
    assert Autoscaler().plan(view, seen, keys, b.at(100), b.ids()).changes == ()
    seen.note("queue", "web", Observation(50, b.at(30)))
    assert Autoscaler().plan(view, seen, keys, b.at(100), b.ids()).changes == (), "it is too old"
    seen.note("queue", "web", Observation(50, b.at(99)))
    [change] = Autoscaler().plan(view, seen, keys, b.at(100), b.ids()).changes
    assert change == Update(replace(b.service(2), wanted_replicas=5), why="50 requests wait")


async def test_the_loop_hands_what_was_seen_to_the_rooms(tmp_path: Path) -> None:
    store = Primary(SqliteLog(tmp_path / "store.db"))
    await store.start()
    await store.commit([Create(b.service(2)), Create(b.node())])
    seen = Observations()
    loop = Loop(store, [*rooms(), Autoscaler()], seen=seen)
    running = asyncio.create_task(loop.run())
    try:
        async with asyncio.timeout(20):
            while len(store.view.tasks_of_service("web")) != 2:
                await asyncio.sleep(0.01)
            revision = store.view.revision
            seen.note("queue", "web", Observation(70, datetime.max.replace(tzinfo=b.T0.tzinfo)))
            assert store.view.revision == revision, "nothing is stored for it"
            while len(store.view.tasks_of_service("web")) != 7:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()


def test_replicas_beside_the_spec_are_the_wanted_ones() -> None:
    web = replace(b.service(1), wanted_replicas=2)
    assert look(Orchestrator(), b.view(web, b.node(), b.task("a", web))) == [
        "new new1 in slot 2: scaled up to 2"
    ]


@pytest.mark.parametrize(("replicas", "beside"), [(2, 9), (3, None)])
async def test_a_user_who_names_another_number_has_the_last_word(
    tmp_path: Path, replicas: int, beside: int | None
) -> None:
    """Another image changes nothing about the number."""
    store = Primary(SqliteLog(tmp_path / "store.db"))
    await store.start()
    try:
        await store.commit([Create(replace(b.service(2), wanted_replicas=9))])
        services = Services(store, b.ids())
        web = services.get("web")
        await services.update("web", web.version.index, b.spec(replicas, image="app:2"))
        changed = services.get("web")
        assert changed.wanted_replicas == beside
        assert changed.spec.task_template.container_spec is not None
        assert changed.spec.task_template.container_spec.image == "app:2"
    finally:
        await store.close()


def test_the_newest_observation_of_each_is_kept_and_no_more_than_so_many() -> None:
    seen = Observations(most=2)
    for subject, value in (("a", 1.0), ("b", 2.0), ("a", 3.0), ("c", 4.0)):
        seen.note("cpu", subject, Observation(value, b.at(1)))
    found = {subject: seen.newest("cpu", subject) for subject in "abc"}
    assert found["a"] == Observation(3.0, b.at(1))
    assert found["b"] is None
    assert found["c"] == Observation(4.0, b.at(1))
    seen.forget("cpu", "a")
    assert seen.newest("cpu", "a") is None
    assert NOTHING_SEEN.newest("cpu", "c") is None
