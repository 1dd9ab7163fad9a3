"""Replicated services have slots 1 to N."""

from __future__ import annotations

import time
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from skep.manager.observations import NOTHING_SEEN
from skep.manager.orchestrator import Orchestrator
from skep.manager.room import Plan
from skep.manager.slices import A_PLAN
from skep.model.service import RestartPolicy
from skep.model.states import TaskState
from skep.model.task import ServiceAnnotations, Task, TaskStatus
from skep.store.change import Create, Update
from skep.testing.builders import at, ids, node, nodes, service, spec, task, view
from skep.testing.transcript import look


def test_a_new_service_gets_its_tasks_in_one_plan() -> None:
    """Slots are numbered from 1; the tasks carry the service's spec and say why they are there."""
    web = service(2)
    born = [
        Task(
            id=f"new{slot}",
            version=replace(web.version, index=0),
            created_at=at(5),
            updated_at=at(5),
            spec=web.spec.task_template,
            spec_version=web.spec_version,
            service_id="web",
            service_annotations=ServiceAnnotations(name="web"),
            slot=slot,
            status=TaskStatus(timestamp=at(5), message="created"),
            desired_state=TaskState.RUNNING,
            cause="the service was created",
        )
        for slot in (1, 2)
    ]
    assert Orchestrator().plan(view(web), NOTHING_SEEN, frozenset({"web"}), at(5), ids()) == Plan(
        changes=tuple(Create(one, why="the service was created") for one in born),
        explanations=("service web: new task: the service was created (and 1 more)",),
    )


def test_scaling_up_is_one_plan_with_the_missing_tasks() -> None:
    web = service(50, previous=service(1))
    plan = look(Orchestrator(), view(web, node(), task("a", web)))
    assert plan == [f"new new{n} in slot {n + 1}: scaled up to 50" for n in range(1, 50)]


def test_the_lowest_free_slots_are_filled_first() -> None:
    web = service(4)
    tasks = [task("a", web, 2), task("b", web, 5)]
    assert look(Orchestrator(), view(web, node(), tasks)) == [
        "new new1 in slot 1: scaled up to 4",
        "new new2 in slot 3: scaled up to 4",
    ]


def test_nothing_is_done_where_all_is_well() -> None:
    web = service(2)
    assert look(Orchestrator(), view(web, node(), task("a", web), task("b", web, 2))) == []


def test_scaling_down_takes_from_the_node_with_most_tasks() -> None:
    web = service(2)
    tasks = [task("a", web, 1), task("b", web, 2), task("c", web, 3, on="n2")]
    assert look(Orchestrator(), view(web, nodes(2), tasks)) == ["b to remove: scaled down to 2"]


def test_scaling_down_takes_what_does_not_run_first() -> None:
    web = service(1)
    tasks = [task("a", web, 1, state=TaskState.STARTING), task("b", web, 2)]
    assert look(Orchestrator(), view(web, node(), tasks)) == ["a to remove: scaled down to 1"]


def test_scaling_down_takes_the_highest_slot_of_equals() -> None:
    web = service(1)
    tasks = [task("a", web, 1), task("b", web, 2), task("c", web, 3)]
    assert look(Orchestrator(), view(web, node(), tasks)) == [
        "b to remove: scaled down to 1",
        "c to remove: scaled down to 1",
    ]


def test_what_is_remembered_of_a_slot_goes_with_it() -> None:
    web = service(0)
    ended = task("a", web, state=TaskState.FAILED, desired=TaskState.SHUTDOWN)
    assert look(Orchestrator(), view(web, node(), ended, task("b", web, born=5))) == [
        "a to remove: scaled down to 0",
        "b to remove: scaled down to 0",
    ]


def test_a_new_task_waits_for_the_old_one_of_its_slot_to_stop() -> None:
    """5 → 3 → 5 in quick succession: slot 2's old process still stops."""
    web = service(2)
    stopping = task("b", web, 2, desired=TaskState.REMOVE, born=90)
    assert look(Orchestrator(), view(web, node(), task("a", web), stopping)) == [
        "new new1 in slot 2 held: scaled up to 2",
        "look at web again in 60 s",
    ]


def test_a_removed_service_takes_its_tasks_with_it() -> None:
    web = service(2)
    tasks = [
        task("a", web),
        task("b", web, 2, state=TaskState.FAILED, desired=TaskState.SHUTDOWN),
        task("c", web, 3, desired=TaskState.REMOVE),
    ]
    assert look(Orchestrator(), view(node(), tasks)) == [
        "a to remove: the service was removed",
        "b to remove: the service was removed",
    ]


@pytest.mark.parametrize("condition", ["any", "none"])
def test_a_service_scaled_to_nothing_has_nothing(condition: Literal["any", "none"]) -> None:
    web = service(0, restart=RestartPolicy(condition=condition))
    assert look(Orchestrator(), view(web, node())) == []


def test_a_plan_costs_what_there_is_to_look_at() -> None:
    """Ten thousand tasks take some 50 ms; anything quadratic would take a minute."""
    web = service(10_000)
    tasks = [task(f"t{slot}", web, slot, on=f"n{slot % 100 + 1}") for slot in range(1, 10_001)]
    objects = view(web, nodes(100), tasks)
    start = time.process_time()
    assert look(Orchestrator(), objects) == []
    removed = look(Orchestrator(), view(replace(web, spec=spec(0)), tasks))
    assert sum("to remove" in change for change in removed) == A_PLAN
    assert time.process_time() - start < 2


@given(
    held=st.dictionaries(st.integers(1, 12), st.sampled_from(["n1", "n2", "n3"]), max_size=12),
    replicas=st.integers(0, 12),
)
def test_any_scale_ends_with_as_many_slots_as_wanted(held: dict[int, str], replicas: int) -> None:
    """Never more changes than the difference; never a node left more crowded than need be."""
    web = service(replicas)
    tasks = [task(f"t{slot}", web, slot, on=on) for slot, on in held.items()]
    plan = Orchestrator().plan(
        view(web, nodes(3), tasks), NOTHING_SEEN, frozenset({"web"}), at(9), ids()
    )
    created = [change.new.slot for change in plan.changes
               if isinstance(change, Create) and isinstance(change.new, Task)]  # fmt: skip
    ended = [change.new.slot for change in plan.changes
             if isinstance(change, Update) and isinstance(change.new, Task)]  # fmt: skip
    kept = sorted(set(held) - set(ended))
    assert len(kept) + len(created) == replicas
    assert not (created and ended)
    assert created == sorted(set(range(1, 25)) - set(held))[: len(created)]
    if ended:
        left = [sum(held[slot] == on for slot in kept) for on in set(held.values())]
        lost = {held[slot] for slot in ended}
        fullest_that_lost = max(sum(held[slot] == on for slot in kept) for on in lost)
        assert max(left) - fullest_that_lost <= 1
