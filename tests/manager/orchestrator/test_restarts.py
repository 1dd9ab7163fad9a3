"""Tasks that end get successors, as the restart policy says."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from skep.manager.observations import NOTHING_SEEN
from skep.manager.orchestrator import Orchestrator
from skep.manager.orchestrator.restart import attempts
from skep.model.node import Node
from skep.model.service import RestartPolicy, Service
from skep.model.states import TaskState
from skep.model.task import Task
from skep.store.change import Create
from skep.testing.builders import at, ids, node, seconds, service, task, view
from skep.testing.transcript import look

FAILED, COMPLETE, READY = TaskState.FAILED, TaskState.COMPLETE, TaskState.READY
SHUTDOWN = TaskState.SHUTDOWN
EXIT_1 = "task: non-zero exit (1)"


def with_policy(**words: Any) -> Service:
    return service(restart=RestartPolicy(**words))


def failed(of: Service, **fields: Any) -> Task:
    return task("a", of, state=FAILED, err=EXIT_1, since=100, **fields)


def test_the_successor_is_made_at_once_and_held_for_the_delay() -> None:
    """5 s where nothing is said; its image is pulled meanwhile."""
    web = service()
    assert look(Orchestrator(), view(web, node(), failed(web))) == [
        "a to shutdown: non-zero exit (1)",
        "new new1 in slot 1 held: replaces task a: non-zero exit (1)",
        "look at web again in 5 s",
    ]


def test_without_a_delay_the_successor_starts_at_once() -> None:
    web = with_policy(delay=0)
    assert look(Orchestrator(), view(web, node(), failed(web))) == [
        "a to shutdown: non-zero exit (1)",
        "new new1 in slot 1: replaces task a: non-zero exit (1)",
    ]


def test_on_a_drained_node_there_is_no_delay() -> None:
    web = service()
    drained = node(availability="drain")
    assert look(Orchestrator(), view(web, drained, failed(web))) == [
        "a to shutdown: non-zero exit (1)",
        "new new1 in slot 1: replaces task a: non-zero exit (1)",
    ]


@pytest.mark.parametrize(("now", "plan"), [
    (99, ["look at web again in 1 s"]),
    (100, ["b to running"]),
])  # fmt: skip
def test_a_held_task_is_raised_when_its_time_has_come(now: float, plan: list[str]) -> None:
    web = service()
    old = task("a", web, state=FAILED, desired=SHUTDOWN)
    held = task("b", web, on="", state=TaskState.NEW, desired=READY, born=95, hold_until=at(100))
    assert look(Orchestrator(), view(web, node(), old, held), now=now) == plan


@pytest.mark.parametrize(("now", "plan"), [
    (99, ["look at web again in 1 s"]),
    (100, ["b to shutdown: No such image: x:1",
           "new new1 in slot 1 held: replaces task b: No such image: x:1",
           "look at web again in 5 s"]),
])  # fmt: skip
def test_one_that_died_while_it_was_held_has_its_successor_after_the_delay(
    now: float, plan: list[str]
) -> None:
    """What cannot be prepared fails at once: without this, restarts would know no delay."""
    web = service()
    old = task("a", web, state=FAILED, desired=SHUTDOWN)
    held = task(
        "b", web, state=TaskState.REJECTED, err="No such image: x:1", desired=READY, born=95,
        hold_until=at(100),
    )  # fmt: skip
    assert look(Orchestrator(), view(web, node(), old, held), now=now) == plan


def stopping_and_held(grace_s: float, stopping_on: str = "n1") -> tuple[Service, Task, Task]:
    web = service()
    bare = web.spec.task_template.container_spec
    assert bare is not None
    container = replace(
        bare,
        stop_grace_period=seconds(grace_s),
    )
    spec = replace(web.spec.task_template, container_spec=container)
    web = replace(web, spec=replace(web.spec, task_template=spec))
    old = task("a", web, desired=SHUTDOWN, on=stopping_on)
    return web, old, task("b", web, state=READY, desired=READY, born=90)


@pytest.mark.parametrize(("grace_s", "now", "plan"), [
    (10, 100, ["look at web again in 50 s"]),
    (10, 150, ["b to running"]),
    (90, 150, ["look at web again in 30 s"]),
])  # fmt: skip
def test_a_successor_waits_a_minute_for_the_old_task_to_stop(
    grace_s: float, now: float, plan: list[str]
) -> None:
    """Longer where the old task may take longer."""
    assert look(Orchestrator(), view(node(), *stopping_and_held(grace_s)), now=now) == plan


@pytest.mark.parametrize("gone", [[node("n2", state="down")], []])
def test_a_successor_does_not_wait_for_what_is_out_of_reach(gone: list[Node]) -> None:
    """The old task's node is down, or was removed."""
    objects = stopping_and_held(10, stopping_on="n2")
    assert look(Orchestrator(), view(node(), gone, *objects)) == ["b to running"]


@pytest.mark.parametrize(("condition", "state", "end"), [
    ("none", FAILED, "non-zero exit (1); restart condition none"),
    ("none", COMPLETE, "it completed; restart condition none"),
    ("on-failure", COMPLETE, "it completed; restart condition on-failure"),
])  # fmt: skip
def test_the_condition_can_leave_the_slot_at_rest(
    condition: str, state: TaskState, end: str
) -> None:
    """The task is wanted no more, and no other takes its place: not now, not later."""
    web = with_policy(condition=condition)
    ended = task("a", web, state=state, err=EXIT_1 if state is FAILED else "")
    assert look(Orchestrator(), view(web, node(), ended)) == [f"a to shutdown: {end}"]
    assert look(Orchestrator(), view(web, node(), replace(ended, desired_state=SHUTDOWN))) == []


def test_on_failure_restarts_what_failed() -> None:
    web = with_policy(condition="on-failure", delay=0)
    assert look(Orchestrator(), view(web, node(), failed(web)))[1:] == [
        "new new1 in slot 1: replaces task a: non-zero exit (1)"
    ]


def test_attempts_are_counted_in_the_tasks() -> None:
    web = with_policy(max_attempts=3, delay=0)
    objects = view(web, node(), failed(web, restarts=[at(50)]))
    plan = Orchestrator().plan(objects, NOTHING_SEEN, frozenset({"web"}), at(100), ids())
    successor = plan.changes[-1]
    assert isinstance(successor, Create)
    assert isinstance(successor.new, Task)
    assert successor.new.cause == "replaces task a: non-zero exit (1), attempt 2 of 3"
    assert successor.new.restarts == [at(50), at(100)]


def test_after_the_last_attempt_the_slot_is_at_rest() -> None:
    web = with_policy(max_attempts=2)
    last = failed(web, restarts=[at(1), at(2)])
    assert look(Orchestrator(), view(web, node(), last)) == [
        "a to shutdown: non-zero exit (1); all 2 restart attempts used up"
    ]
    assert look(Orchestrator(), view(web, node(), replace(last, desired_state=SHUTDOWN))) == []


def test_only_attempts_within_the_window_count() -> None:
    """The window ends where the task died, whenever that is looked at."""
    web = with_policy(max_attempts=2, window=seconds(30))
    assert attempts(failed(web, restarts=[at(60), at(70), at(71), at(99)])) == 2


def test_a_new_spec_version_starts_counting_anew() -> None:
    old = with_policy(max_attempts=1, delay=0)
    new = replace(old, spec_version=replace(old.spec_version, index=2))
    objects = view(new, node(), failed(old, restarts=[]))
    plan = Orchestrator().plan(objects, NOTHING_SEEN, frozenset({"web"}), at(100), ids())
    made = [change.new for change in plan.changes if isinstance(change, Create)]
    assert [task.restarts for task in made if isinstance(task, Task)] == [[]]
    assert len(made) == 1
