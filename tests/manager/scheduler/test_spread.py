"""Tasks are spread: over nodes with few failures, then few tasks of the service, then few tasks."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from skep.manager.observations import NOTHING_SEEN
from skep.manager.scheduler import Scheduler
from skep.model.node import eligible
from skep.model.service import ResourceRequirements, Resources, Service, TaskSpec
from skep.model.states import TaskState
from skep.model.task import Task
from skep.store.change import Update
from skep.store.memory import MemoryView
from skep.testing.builders import at, ids, node, nodes, service, task, view, written
from tests.manager.scheduler.conftest import Placed, Reasons

PENDING = TaskState.PENDING
WEB = service(30)


def waiting(number: int, of: Service = WEB) -> list[Task]:
    return [
        task(f"{of.id}-{slot:03}", of, slot, on="", state=PENDING) for slot in range(1, number + 1)
    ]


def test_thirty_tasks_on_three_nodes_are_ten_each(placed: Placed) -> None:
    assert placed(view(WEB, nodes(3), waiting(30))) == {"n1": 10, "n2": 10, "n3": 10}


def test_the_fewest_tasks_of_the_service_win_over_the_fewest_tasks(placed: Placed) -> None:
    other = service(5, name="db")
    there = [task(f"db{i}", other, i, on="n1") for i in range(5)]
    assert placed(view(WEB, nodes(2), there, task("old", WEB, 2, on="n2"), waiting(1))) == {"n1": 1}


def test_among_equals_the_node_with_the_fewest_tasks_wins(placed: Placed) -> None:
    other = service(5, name="db")
    there = [task("db1", other, 1, on="n1"), task("db2", other, 2, on="n3")]
    assert placed(view(WEB, other, nodes(3), there, waiting(1))) == {"n2": 1}


def test_tasks_that_are_to_stop_do_not_count(placed: Placed) -> None:
    stopping = [task(f"s{i}", WEB, i, on="n1", desired=TaskState.SHUTDOWN) for i in range(3)]
    running = task("r", WEB, 9, on="n2")
    assert placed(view(WEB, nodes(2), stopping, running, waiting(1))) == {"n1": 1}


def test_a_node_on_which_the_service_failed_five_times_in_five_minutes_comes_last(
    placed: Placed,
) -> None:
    failed = [
        task(f"f{i}", WEB, i, on="n1", state=TaskState.FAILED, since=990 + i) for i in range(5)
    ]
    busy = [task(f"r{i}", WEB, 10 + i, on="n2") for i in range(7)]
    seen = view(WEB, nodes(2), failed, busy, waiting(1))
    assert placed(seen, now=1000) == {"n2": 1}
    assert placed(seen, now=1400) == {"n1": 1}
    assert placed(view(WEB, nodes(2), failed[:4], busy, waiting(1)), now=1000) == {"n1": 1}


def test_failures_of_another_version_or_service_are_not_held_against_a_node(placed: Placed) -> None:
    updated = service(30, version=9)
    failed = [task(f"f{i}", WEB, i, on="n1", state=TaskState.FAILED, since=999) for i in range(9)]
    busy = task("r", updated, 10, on="n2")
    assert placed(view(updated, nodes(2), failed, busy, waiting(1, updated))) == {"n1": 1}


def test_a_node_that_is_full_is_passed_over_and_the_rest_waits(
    placed: Placed, reasons: Reasons
) -> None:
    wish = ResourceRequirements(reservations=Resources(nano_cpus=3 * 10**9))
    spec = replace(WEB.spec, task_template=TaskSpec(resources=wish))
    big = replace(WEB, spec=spec)
    seen = view(big, node("n1", cpus=7), node("n2", cpus=3), node("n3", cpus=1), waiting(4, big))
    assert placed(seen) == {"n1": 2, "n2": 1}
    assert reasons(seen) == {"web-004": "no suitable node (insufficient resources on 3 nodes)"}


@st.composite
def clusters(draw: st.DrawFn) -> MemoryView:
    """Nodes of two sizes, services with and without reservations, some tasks already there."""
    machines = [
        node(
            f"n{i}",
            cpus=draw(st.sampled_from([2, 6])),
            availability=draw(st.sampled_from(["active", "active", "pause"])),
        )
        for i in range(draw(st.integers(1, 6)))
    ]
    services: list[Service] = []
    tasks: list[Task] = []
    for name in ("a", "b", "c"):
        cpus = draw(st.integers(0, 2))
        wish = ResourceRequirements(reservations=Resources(nano_cpus=cpus * 10**9))
        bare = service(1, name=name)
        of = replace(bare, spec=replace(bare.spec, task_template=TaskSpec(resources=wish)))
        services.append(of)
        for i in range(draw(st.integers(0, 4))):
            machine = draw(st.sampled_from(machines))
            tasks.append(task(f"{name}-old{i}", of, 100 + i, on=machine.id))
        tasks += waiting(draw(st.integers(0, 9)), of)
    return view(services, machines, tasks)


def _cpus(this: Task) -> int:
    wish = this.spec.resources
    assert wish is not None and wish.reservations is not None
    return wish.reservations.nano_cpus


def _one_by_one(seen: MemoryView) -> dict[str, str]:
    """The rule, said as plainly as possible: each task looks at every node."""
    where = {t.id: t.node_id for t in seen.tasks() if t.node_id}
    todo = [t for t in seen.tasks() if not t.node_id]
    for this in sorted(todo, key=lambda t: (t.service_id, t.slot)):
        scores = []
        for machine in seen.nodes():
            here = [t for t in seen.tasks() if where.get(t.id) == machine.id]
            used = sum(map(_cpus, here))
            wish = _cpus(this)
            free = machine.description.resources.nano_cpus - used
            if eligible(machine) and (not wish or wish <= free):
                mine = sum(t.service_id == this.service_id for t in here)
                scores.append((mine, len(here), machine.id))
        if scores:
            where[this.id] = min(scores)[2]
    return where


@given(seen=clusters())
@settings(max_examples=150, deadline=None)
def test_the_quick_way_places_as_one_by_one_would(seen: MemoryView) -> None:
    scheduler = Scheduler()
    plan = scheduler.plan(seen, NOTHING_SEEN, frozenset(scheduler.everything(seen)), at(0), ids())
    where = {t.id: t.node_id for t in seen.tasks() if t.node_id}
    assert all(isinstance(change, Update) for change in plan.changes)
    where |= {placed.id: placed.node_id for placed in written(plan, Task) if placed.node_id}
    expected = _one_by_one(seen)
    assert where.keys() == expected.keys()

    def shape(places: dict[str, str]) -> Counter[tuple[str, str]]:
        return Counter((i.split("-")[0], place) for i, place in places.items())

    assert shape(where) == shape(expected)
