"""Rolling updates: stale slots get new tasks, a few at a time."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from skep.manager.orchestrator import Orchestrator
from skep.model.service import RestartPolicy, Service, UpdateConfig, UpdateStatus
from skep.model.states import TaskState
from skep.model.task import Task
from skep.testing.builders import at, node, seconds, service, task, view
from skep.testing.transcript import look

SHUTDOWN, FAILED = TaskState.SHUTDOWN, TaskState.FAILED


def updated(
    replicas: int = 1,
    *,
    update: UpdateConfig | None = None,
    under_way: bool = True,
    **words: Any,
) -> tuple[Service, Service]:
    """The service before and after an update from app:1 to app:2, which began at second 50."""
    before = service(replicas, update=update, **words)
    after = service(replicas, image="app:2", version=2, previous=before, update=update, **words)
    status = UpdateStatus(state="updating", started_at=at(50), message="update in progress")
    return before, replace(after, update_status=status if under_way else None)


def attempt(task_id: str, of: Service, slot: int = 1, **fields: Any) -> Task:
    """The new task of a slot, made by the update at second 60."""
    words: dict[str, Any] = {"on": "n1", "born": 60, "origin": "update", **fields}
    return task(task_id, of, slot, **words)


def tasks(of: Service, *slots: int) -> list[Task]:
    return [task(f"t{slot}", of, slot) for slot in slots]


def stopped(of: Service, *slots: int) -> list[Task]:
    return [replace(one, desired_state=SHUTDOWN, status=replace(one.status, state=SHUTDOWN))
            for one in tasks(of, *slots)]  # fmt: skip


def renewed(plan: list[str]) -> list[str]:
    return [line.split()[0] for line in plan if ": update" in line and "new" not in line]


def test_an_update_begins_with_one_slot() -> None:
    """Stop-first: the old task stops, the new one waits for it."""
    before, after = updated(3, under_way=False)
    assert look(Orchestrator(), view(after, node(), tasks(before, 1, 2, 3))) == [
        "web updating: update in progress",
        "t1 to shutdown: update to image app:2",
        "new new1 in slot 1 held: replaces task t1: update to image app:2",
        "look at web again in 60 s",
    ]


@pytest.mark.parametrize(("parallelism", "slots"), [(0, 4), (1, 1), (3, 3)])
def test_parallelism_says_how_many_slots_at_a_time(parallelism: int, slots: int) -> None:
    before, after = updated(4, update=UpdateConfig(parallelism=parallelism))
    plan = look(Orchestrator(), view(after, node(), tasks(before, 1, 2, 3, 4)))
    assert renewed(plan) == [f"t{slot}" for slot in range(1, slots + 1)]


def test_start_first_leaves_the_old_task_until_the_new_one_runs() -> None:
    before, after = updated(update=UpdateConfig(parallelism=1, order="start-first"))
    old = tasks(before, 1)
    assert look(Orchestrator(), view(after, node(), old)) == [
        "new new1 in slot 1: replaces task t1: update to image app:2"
    ]
    starting = attempt("b", after, state=TaskState.STARTING)
    assert look(Orchestrator(), view(after, node(), old, starting)) == []
    running = attempt("b", after, cause="replaces task t1: update to image app:2")
    assert look(Orchestrator(), view(after, node(), old, running), now=61) == [
        "t1 to shutdown: update to image app:2",
        "look at web again in 4 s",
    ]


def test_the_next_slot_waits_until_the_new_task_runs() -> None:
    before, after = updated(2)
    old = [*stopped(before, 1), *tasks(before, 2)]
    starting = attempt("b", after, state=TaskState.STARTING)
    assert look(Orchestrator(), view(after, node(), old, starting)) == []
    assert renewed(look(Orchestrator(), view(after, node(), old, attempt("b", after)))) == ["t2"]


def test_the_next_slot_waits_for_the_delay() -> None:
    before, after = updated(2, update=UpdateConfig(parallelism=1, delay=seconds(10)))
    objects = view(after, node(), stopped(before, 1), tasks(before, 2), attempt("b", after))
    assert look(Orchestrator(), objects, now=63) == ["look at web again in 7 s"]
    assert renewed(look(Orchestrator(), objects, now=70)) == ["t2"]


def test_an_update_is_complete_when_the_last_task_was_watched() -> None:
    """For the monitor time, 5 s by default, from when it ran."""
    before, after = updated()
    objects = view(after, node(), stopped(before, 1), attempt("b", after))
    assert look(Orchestrator(), objects, now=64) == ["look at web again in 1 s"]
    assert look(Orchestrator(), objects, now=65) == ["web completed: update completed"]


def test_an_update_that_changes_nothing_for_tasks_is_none() -> None:
    """As in docker no update status is made."""
    before = service(1)
    after = service(1, version=2, previous=before, labels={"tier": "front"})
    assert look(Orchestrator(), view(after, node(), tasks(before, 1))) == []


@pytest.mark.parametrize(("state", "ran_since", "died_at"), [
    (FAILED, 60, 64),
    (FAILED, None, 64),
    (TaskState.REJECTED, None, 64),
    (TaskState.COMPLETE, 60, 65),
])  # fmt: skip
def test_a_task_that_dies_early_pauses_the_update(
    state: TaskState, ran_since: float | None, died_at: float
) -> None:
    """Before it ran for the monitor time, or before it ran at all."""
    before, after = updated(2)
    broken = attempt("b", after, state=state, desired=SHUTDOWN, since=died_at,
                     running_since=None if ran_since is None else at(ran_since))  # fmt: skip
    retried = task("c", after, on="", state=TaskState.NEW, born=died_at, origin="restart")
    objects = view(after, node(), stopped(before, 1), tasks(before, 2), broken, retried)
    assert look(Orchestrator(), objects) == [
        "web paused: update paused due to failure or early termination of task b"
    ]


@pytest.mark.parametrize(("state", "died_at"), [(FAILED, 66), (SHUTDOWN, 61)])
def test_a_task_that_dies_late_or_is_stopped_is_no_failure(
    state: TaskState, died_at: float
) -> None:
    """A drain or a scale may stop it: that says nothing about the new version."""
    before, after = updated()
    ended = attempt("b", after, state=state, desired=SHUTDOWN, since=died_at)
    successor = task("c", after, born=66, origin="restart")
    objects = view(after, node(), stopped(before, 1), ended, successor)
    assert look(Orchestrator(), objects) == ["web completed: update completed"]


def test_some_failures_are_allowed() -> None:
    """One of four slots is no more than a quarter; two are."""
    settings = UpdateConfig(parallelism=2, max_failure_ratio=0.25)
    before, after = updated(4, update=settings)
    broken = attempt("b", after, 1, state=FAILED, desired=SHUTDOWN, since=61)
    retried = task("c", after, 1, on="", state=TaskState.NEW, born=61, origin="restart")
    objects: list[Any] = [
        after,
        node(),
        stopped(before, 1),
        tasks(before, 2, 3, 4),
        broken,
        retried,
    ]
    assert renewed(look(Orchestrator(), view(*objects))) == ["t2", "t3"]
    another = replace(broken, id="d", slot=2)
    [first, *_] = look(Orchestrator(), view(*objects, another))
    assert first == "web paused: update paused due to failure or early termination of task b"


def test_an_update_can_go_on_whatever_fails() -> None:
    before, after = updated(2, update=UpdateConfig(parallelism=1, failure_action="continue"))
    broken = attempt("b", after, state=FAILED, desired=SHUTDOWN, since=61)
    retried = task("c", after, on="", state=TaskState.NEW, born=61, origin="restart")
    objects = view(after, node(), stopped(before, 1), tasks(before, 2), broken, retried)
    assert renewed(look(Orchestrator(), objects)) == ["t2"]


def test_each_slot_is_tried_once() -> None:
    """Start-first, and the new task gave up: the old one serves on, and nothing is tried again."""
    before, after = updated(
        update=UpdateConfig(parallelism=1, order="start-first", failure_action="continue"),
        restart=RestartPolicy(condition="none"),
    )
    gave_up = attempt("b", after, state=FAILED, desired=SHUTDOWN, since=61)
    objects = view(after, node(), tasks(before, 1), gave_up)
    assert look(Orchestrator(), objects) == ["web completed: update completed"]


def test_a_paused_update_touches_no_more_slots() -> None:
    before, after = updated(2)
    paused = replace(after, update_status=UpdateStatus(state="paused", started_at=at(50)))
    objects = view(paused, node(), stopped(before, 1), tasks(before, 2), attempt("b", after))
    assert look(Orchestrator(), objects) == []


def test_a_paused_update_still_restarts_what_dies_with_the_new_spec() -> None:
    before, after = updated(restart=RestartPolicy(delay=0))
    paused = replace(after, update_status=UpdateStatus(state="paused", started_at=at(50)))
    dead = task("a", before, state=FAILED, err="gone")
    assert look(Orchestrator(), view(paused, node(), dead)) == [
        "a to shutdown: gone",
        "new new1 in slot 1: replaces task a: gone",
    ]


def test_a_new_update_takes_the_place_of_the_one_under_way() -> None:
    """Its slots are renewed again; those still of the first version go straight to the third."""
    _, second = updated(2)
    third = service(2, image="app:3", version=3, previous=second)
    objects = view(third, node(), attempt("b", second, 1), tasks(second, 2))
    assert look(Orchestrator(), objects)[:2] == [
        "web updating: update in progress",
        "b to shutdown: update to image app:3",
    ]


def test_a_new_task_that_was_lost_with_its_node_holds_nothing_up() -> None:
    before, after = updated(2)
    lost = attempt("b", after, on="n2", state=TaskState.STARTING, desired=SHUTDOWN,
                   running_since=None)  # fmt: skip
    successor = task("c", after, born=61, origin="loss")
    objects = view(after, node(), stopped(before, 1), tasks(before, 2), lost, successor)
    assert renewed(look(Orchestrator(), objects)) == ["t2"]


def test_what_is_at_rest_is_updated_too() -> None:
    """Tasks that completed and would not run again do run with a new spec."""
    before, after = updated(under_way=False, restart=RestartPolicy(condition="none"))
    done = task("a", before, state=TaskState.COMPLETE, desired=SHUTDOWN)
    assert look(Orchestrator(), view(after, node(), done)) == [
        "web updating: update in progress",
        "new new1 in slot 1: replaces task a: update to image app:2",
    ]


def test_scaling_and_updating_together_waits_only_for_the_update() -> None:
    """New slots are made at once, of the new spec, whatever the parallelism."""
    before, after = updated(4, under_way=False)
    plan = look(Orchestrator(), view(after, node(), tasks(before, 1, 2)))
    assert plan[:2] == ["web updating: update in progress", "t1 to shutdown: update to image app:2"]
    assert plan[2:] == [
        "new new1 in slot 3: scaled up to 4",
        "new new2 in slot 4: scaled up to 4",
        "new new3 in slot 1 held: replaces task t1: update to image app:2",
        "look at web again in 60 s",
    ]
