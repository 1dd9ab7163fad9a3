"""H9: clocks that were set, the manager's or a worker's, held up restarts and misjudged updates.

What planners compare is stamped by the manager as it learns of it, by a clock that goes with the
time that passes and never back, not from one run to the next either. A worker's time is shown only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from skep.kit import clock as clocks
from skep.manager.loop import Loop
from skep.manager.observations import Seen
from skep.manager.room import NewId, Plan
from skep.model.service import RestartPolicy, UpdateConfig
from skep.store.change import Create, Event, View
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing import builders as b
from skep.testing.control_plane import ControlPlane
from skep.testing.simulated_agent import Behaviour
from skep.testing.simulator import SimulatedCluster

HOUR = timedelta(hours=1)


class Wall(datetime):
    """The machine's clock as skep reads it; a test sets it `off`."""

    off = timedelta(0)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + cls.off


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> type[Wall]:
    monkeypatch.setattr(clocks, "datetime", Wall)
    monkeypatch.setattr(Wall, "off", timedelta(0))
    return Wall


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


class Waiting:
    """A room that wants to look again after a while, and counts how often it looked."""

    name = "waiting"

    def __init__(self, after_s: float) -> None:
        self.after = timedelta(seconds=after_s)
        self.looks: list[float] = []

    def dirty(self, event: Event, view: View) -> Iterable[str]:
        return ()

    def everything(self, view: View) -> Iterable[str]:
        return ("key",)

    def plan(
        self, view: View, seen: Seen, keys: frozenset[str], now: datetime, new_id: NewId
    ) -> Plan:
        self.looks.append(asyncio.get_running_loop().time())
        return Plan(wake={"key": now + self.after})


@pytest.mark.parametrize("off", [-HOUR, -timedelta(days=400), HOUR], ids=str)
async def test_a_clock_that_is_set_shortens_and_stretches_no_wait(
    tmp_path: Path, wall: type[Wall], off: timedelta
) -> None:
    room = Waiting(after_s=0.5)
    store = Primary(SqliteLog(tmp_path / "store.db"))
    await store.start()
    loop = asyncio.create_task(Loop(store, [room]).run())
    try:
        await until(lambda: len(room.looks) == 2)
        wall.off = off
        await until(lambda: len(room.looks) == 6)
        gaps = [after - before for before, after in zip(room.looks, room.looks[1:], strict=False)]
        assert min(gaps) > 0.44
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await store.close()


@asynccontextmanager
async def manager_of_one_service(tmp_path: Path) -> AsyncIterator[tuple[ControlPlane, str]]:
    plane = ControlPlane(tmp_path)
    await plane.start()
    try:
        node = await plane.join("n1")
        service_id = await plane.create_service(1)
        service = plane.manager.control.services.get(service_id)
        policy = RestartPolicy(delay=int(0.5e9))
        template = replace(service.spec.task_template, restart_policy=policy)
        spec = replace(service.spec, task_template=template)
        await plane.manager.control.services.update(service_id, service.version.index, spec)
        await plane.until(lambda: len(node.executor.running) == 1 == len(plane.running(service_id)))
        yield plane, service_id
    finally:
        await plane.close()


async def is_replaced(plane: ControlPlane, service_id: str) -> None:
    """The service's process ends, and another runs in its place."""
    executor = plane.nodes[0].executor
    (before,) = plane.running(service_id)
    executor.end(before, 1)
    await plane.until(lambda: plane.running(service_id) not in ([], [before]), 10.0)


async def test_restarts_go_on_while_the_managers_clock_is_set(
    tmp_path: Path, wall: type[Wall]
) -> None:
    async with manager_of_one_service(tmp_path) as (plane, service):
        for off in (-HOUR, -2 * HOUR, HOUR, timedelta(0)):
            wall.off = off
            await is_replaced(plane, service)


async def test_a_clock_that_was_ahead_in_the_last_run_makes_nobody_wait(
    tmp_path: Path, wall: type[Wall]
) -> None:
    """What was stamped then lies in the future of the wall clock now."""
    async with manager_of_one_service(tmp_path) as (plane, service):
        await plane.stop_manager()
        wall.off = HOUR
        await plane.start_manager()
        await is_replaced(plane, service)
        for task_id in plane.running(service):
            plane.nodes[0].executor.end(task_id, 1)
        await plane.until(lambda: not plane.running(service))
        await plane.stop_manager()
        newest = max(stored.updated_at for stored in plane.manager.store.view.all())
        wall.off = timedelta(0)
        await plane.start_manager()
        await plane.until(lambda: len(plane.running(service)) == 1)
        await is_replaced(plane, service)
        stamps = sorted(task.created_at for task in plane.manager.store.view.tasks())
        assert stamps[-1] > newest, "the newest task is the newest by its stamp"


def told(cluster: SimulatedCluster) -> list[object]:
    """All that planners decided, without what the nodes said of the time."""
    return [
        replace(stored, status=replace(stored.status, timestamp=b.T0))
        for stored in cluster.view.tasks()
    ] + [service.update_status for service in cluster.view.services()]


def after_an_update(seed: int, off: timedelta, works: bool) -> SimulatedCluster:
    """Two images; the newer one's containers may end within the time in which it is watched."""
    behaviour = Behaviour(exits_after_s=None if works else 1.0)
    cluster = SimulatedCluster(seed=seed, nodes=3, behaviours={"app:2": behaviour})
    for agent in cluster.agents.values():
        agent._clock = lambda: _moved(cluster.now, off)
    update = UpdateConfig(parallelism=1, monitor=int(4e9), delay=int(1e9))
    restart = RestartPolicy(delay=int(1e9), max_attempts=2, window=int(20e9))
    cluster.create(b.service(3, update=update, restart=restart))
    cluster.run(10)
    cluster.set_image("web", "app:2")
    cluster.run(60)
    return cluster


def _moved(now: datetime, off: timedelta) -> datetime:
    try:
        return now + off
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if off > timedelta(0) else clocks.ZERO_TIME


_OFF = [timedelta(minutes=30), -timedelta(minutes=30), timedelta.max, timedelta.min]


@pytest.mark.parametrize("works", [True, False], ids=["works", "fails"])
@pytest.mark.parametrize("off", _OFF, ids=["ahead", "behind", "year 9999", "year 1"])
def test_a_workers_clock_changes_no_plan(off: timedelta, works: bool) -> None:
    right = after_an_update(7, timedelta(0), works)
    status = right.service("web").update_status
    assert status is not None
    assert status.state == ("completed" if works else "paused")
    assert told(after_an_update(7, off, works)) == told(right)


steps = st.lists(
    st.tuples(
        st.floats(0, 100, allow_nan=False),
        st.one_of(st.just(0.0), st.floats(-1e8, 1e8, allow_nan=False)),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_the_steady_clock_goes_with_the_time_that_passes(steps: list[tuple[float, float]]) -> None:
    """Within a tenth, whatever the wall clock does; never back; and home in the end."""
    passed_s, off_s = 0.0, 0.0
    clock = clocks.SteadyClock(
        wall=lambda: b.T0 + timedelta(seconds=passed_s + off_s), elapsed=lambda: passed_s
    )
    before = clock()
    for step_s, jump_s in steps:
        passed_s += step_s
        off_s += jump_s
        now = clock()
        went_s = (now - before).total_seconds()
        assert 0.9 * step_s - 1e-4 <= went_s <= 1.1 * step_s + 1e-4
        before = now
    passed_s += 1e10 + 11 * abs(off_s)
    off_s = 0.0 if abs(off_s) > 1e9 else off_s
    home = b.T0 + timedelta(seconds=passed_s + off_s)
    assert abs((clock() - home).total_seconds()) < 1e-3


def test_what_an_older_skep_believed_of_a_nodes_clock_is_settled_when_it_is_read(
    tmp_path: Path,
) -> None:
    """It had written down when the task ran by the node's own clock."""

    async def reread() -> datetime | None:
        path = tmp_path / "store.db"
        store = Primary(SqliteLog(path))
        await store.start()
        task = b.task("t", b.service(), applied_at=None, running_since=b.T0.replace(year=9999))
        await store.commit([Create(task)])
        await store.close()
        store = Primary(SqliteLog(path))
        await store.start()
        (task,) = store.view.tasks()
        await store.close()
        assert task.running_since is not None
        assert task.running_since <= task.updated_at
        return task.running_since

    assert asyncio.run(reread())
