"""H10: `Replicas: 1000000000` killed the manager, and again at every start, because it was stored.

A service can have so many replicas and no more; what is stored beyond that is planned as if it said
the most; and a plan that creates much is made in slices, between which others have their turn.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from skep.kit.errors import InvalidArgument
from skep.manager import slices
from skep.manager.control.validate import check_spec
from skep.manager.leadership import rooms
from skep.manager.loop import Loop
from skep.manager.observations import NOTHING_SEEN
from skep.manager.orchestrator import Orchestrator
from skep.manager.room import Plan
from skep.model.service import ServiceSpec, UpdateConfig
from skep.store.change import Create, View
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing import builders as b
from skep.testing.simulator import SimulatedCluster

BILLION = 10**9
MOST = 100_000
A_SLICE = slices.A_PLAN


@contextmanager
def little_memory() -> Iterator[None]:
    """A plan without end fails here instead of taking the machine along."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def complete(replicas: int) -> ServiceSpec:
    return b.spec(replicas)


def test_more_replicas_than_a_service_can_have_are_refused_in_words() -> None:
    check_spec(b.view(), complete(MOST))
    for replicas in (MOST + 1, BILLION, 2**63 - 1):
        with pytest.raises(InvalidArgument, match=f"{replicas} replicas are too many.*{MOST}"):
            check_spec(b.view(), complete(replicas))


def plan_of(view: View, now: datetime) -> Plan:
    return Orchestrator().plan(view, NOTHING_SEEN, frozenset({"web"}), now, b.ids())


def test_a_billion_that_is_stored_is_planned_as_the_most_and_in_slices() -> None:
    with little_memory():
        plan = plan_of(b.view(b.service(BILLION), b.node()), b.at(5))
        assert len(plan.changes) == A_SLICE
        assert sum(1 for _ in plan.rest["web"]) == MOST - A_SLICE
    assert "1000000000 replicas are too many: it gets 100000" in plan.explanations[0]


async def test_a_manager_with_a_billion_in_its_store_starts_and_serves_others(
    tmp_path: Path,
) -> None:
    store = Primary(SqliteLog(tmp_path / "store.db"))
    await store.start()
    await store.commit([Create(b.service(BILLION, name="huge")), Create(b.node())])
    running = asyncio.create_task(Loop(store, rooms()).run())
    try:
        async with asyncio.timeout(30):
            while len(store.view.tasks_of_service("huge")) < 2 * A_SLICE:
                await asyncio.sleep(0.01)
            await store.commit([Create(b.service(2, name="small"))])
            while not all(t.node_id for t in store.view.tasks_of_service("small")) or (
                len(store.view.tasks_of_service("small")) < 2
            ):
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()
    assert len(store.view.tasks_of_service("huge")) < MOST, "nobody waited for all of it"


@pytest.mark.parametrize("seed", range(4))
def test_slices_add_up(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Up, over to another image all at once, away from two nodes, and down: in slices of ten."""
    monkeypatch.setattr(slices, "A_PLAN", 10)
    cluster = SimulatedCluster(seed=seed, nodes=3)
    cluster.create(b.service(45, update=UpdateConfig(parallelism=0)))
    cluster.converge()
    cluster.set_image("web", "app:2")
    cluster.converge()
    cluster.kill("n1")
    cluster.set_availability("n2", "drain")
    cluster.converge()
    cluster.scale("web", 3)
    cluster.converge()
    cluster.remove("web")
    cluster.run(30)
    assert {task.node_id for task in cluster.view.tasks()} <= {"n1"}, "nobody can ask n1"
