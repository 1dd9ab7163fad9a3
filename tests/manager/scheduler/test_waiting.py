"""Who waits, who is tried again and when, and what is written."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from skep.manager import slices
from skep.manager.observations import NOTHING_SEEN
from skep.manager.scheduler import Scheduler
from skep.model.node import Node, NodeStatus
from skep.model.states import TaskState
from skep.model.task import Task, TaskStatus
from skep.store.change import Action, Event, Update
from skep.store.kinds import kind_of
from skep.testing.builders import at, ids, node, nodes, service, task, view, written
from tests.manager.scheduler.conftest import Placed, PlanAt, Reasons

PENDING = TaskState.PENDING
WEB = service(1)
GLOBAL = service(None, name="agent")
WAITING = task("a", WEB, on="", state=PENDING)
WHY = "no suitable node (1 node not available for new tasks)"


def test_a_placed_task_is_assigned_and_its_old_reason_is_gone(plan: PlanAt) -> None:
    refused = replace(WAITING, status=replace(WAITING.status, err=WHY))
    status = TaskStatus(
        timestamp=at(1000), state=TaskState.ASSIGNED, message="scheduler assigned task to node"
    )
    assert plan(view(WEB, node(), refused)).changes == (
        Update(replace(refused, node_id="n1", status=status)),
    )


def test_an_unchanged_reason_is_not_written_again(plan: PlanAt) -> None:
    refused = replace(WAITING, status=replace(WAITING.status, err=WHY))
    assert plan(view(WEB, node(state="down"), refused)).changes == ()
    assert plan(view(WEB, node(state="down"), WAITING)).changes == (Update(refused),)


def test_only_wanted_tasks_whose_addresses_are_ready_are_placed(placed: Placed) -> None:
    new = task("n", WEB, on="", state=TaskState.NEW)
    unwanted = task("u", WEB, on="", state=PENDING, desired=TaskState.SHUTDOWN)
    held = task("h", WEB, on="", state=PENDING, desired=TaskState.READY)
    assert placed(view(WEB, node(), new, unwanted)) == {}
    assert placed(view(WEB, node(), held)) == {"n1": 1}


def test_a_global_services_task_is_only_confirmed_on_its_node(
    plan: PlanAt, reasons: Reasons
) -> None:
    chosen = task("g", GLOBAL, 0, on="n2", state=PENDING)
    [confirmed] = written(plan(view(GLOBAL, nodes(2), chosen)), Task)
    assert (confirmed.node_id, confirmed.status.state) == ("n2", TaskState.ASSIGNED)
    assert confirmed.status.message == "scheduler confirmed task can run on preassigned node"

    paused = node("n2", availability="pause")
    assert reasons(view(GLOBAL, node("n1"), paused, chosen)) == {"g": WHY}
    assert reasons(view(GLOBAL, node("n1"), chosen)) == {"g": WHY}


def test_what_an_earlier_task_of_the_plan_took_is_gone_for_the_next(placed: Placed) -> None:
    crowd = [task(f"t{i}", service(1, name=f"s{i}"), 1, on="", state=PENDING) for i in range(6)]
    assert placed(view(nodes(3), crowd)) == {"n1": 2, "n2": 2, "n3": 2}


def _dirty(old: Task | Node | None, new: Task | Node, *, waiting: bool = True) -> bool:
    """Whether the scheduler wants to plan after this event."""
    others = [WAITING] if waiting else []
    scheduler = Scheduler()
    before = view(*others, old) if old is not None else view(*others)
    scheduler.everything(before)
    action: Action = "update" if old is not None else "create"
    return bool(list(scheduler.dirty(Event(kind_of(new).name, action, old, new), before)))


def test_a_waiting_task_is_tried_again_when_a_node_comes_or_changes() -> None:
    machine = node("n1", cpus=1)
    assert _dirty(None, machine)
    assert _dirty(machine, node("n1", cpus=2))
    assert _dirty(machine, node("n1", cpus=1, labels={"zone": "a"}))
    assert _dirty(node(state="down"), node())
    assert not _dirty(machine, replace(machine, status=NodeStatus("ready", "hello", "10.0.0.1")))


def test_a_waiting_task_is_tried_again_when_a_task_leaves_its_node() -> None:
    running = task("r", WEB, 2)
    assert _dirty(running, replace(running, status=TaskStatus(state=TaskState.FAILED)))
    assert _dirty(running, replace(running, desired_state=TaskState.SHUTDOWN))
    starting = task("r", WEB, 2, state=TaskState.STARTING)
    assert not _dirty(starting, running)


def test_nothing_is_planned_when_nobody_waits() -> None:
    assert not _dirty(None, node(), waiting=False)
    assert _dirty(None, WAITING, waiting=False)


def test_a_change_of_the_services_labels_does_not_lose_a_waiting_task() -> None:
    """moby#53722: there the task is dropped from the queue and waits for ever."""
    full = view(WEB, node(state="down"), WAITING)
    scheduler = Scheduler()
    scheduler.everything(full)
    relabelled = service(1, version=7, labels={"a": "b"})
    scheduler.dirty(Event("service", "update", WEB, relabelled), full)
    ready = Event("node", "update", node(state="down"), node())
    full.apply(2, [Event("service", "update", WEB, relabelled), ready])
    keys = frozenset(scheduler.dirty(ready, full))
    [placed] = written(scheduler.plan(full, NOTHING_SEEN, keys, at(0), ids()), Task)
    assert placed.node_id == "n1"


def test_very_many_tasks_are_placed_in_plans_of_a_bounded_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is left waits for a plan at once; who cannot be placed keeps nobody from it."""
    monkeypatch.setattr(slices, "A_PLAN", 6)
    monkeypatch.setattr(slices, "_A_SERVICE", 1)
    nowhere = service(4, name="a-nowhere", constraints=["node.id==n9"])
    stuck = [task(f"s{slot}", nowhere, slot, on="", state=PENDING) for slot in range(1, 5)]
    waiting = [task(f"w{slot}", WEB, slot, on="", state=PENDING) for slot in range(1, 5)]
    seen = view(nowhere, WEB, nodes(2), stuck, waiting)
    scheduler = Scheduler()
    keys = frozenset(scheduler.everything(seen))
    sizes = []
    for number in range(3):
        plan = scheduler.plan(seen, NOTHING_SEEN, keys, at(number), ids())
        sizes.append(len(plan.changes))
        assert plan.wake == (dict.fromkeys(keys, at(number)) if number < 1 else {})
        for change in plan.changes:
            assert isinstance(change, Update)
            event = Event("task", "update", seen.task(change.new.id), change.new)
            seen.apply(seen.revision + 1, [event])
            list(scheduler.dirty(event, seen))
    assert sizes == [6, 2, 0], "three of each service, then one of each"
    assert all(found.node_id for found in seen.tasks_of_service("web"))
    assert all(found.status.err for found in seen.tasks_of_service("a-nowhere"))
