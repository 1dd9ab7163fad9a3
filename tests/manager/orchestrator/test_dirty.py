"""Which events make the orchestrator look at a service."""

from __future__ import annotations

from typing import Literal

import pytest
from msgspec.structs import replace

from skep.manager.orchestrator import Orchestrator
from skep.model.service import UpdateStatus
from skep.model.states import TaskState
from skep.store.change import Event, Stored
from skep.store.memory import MemoryView
from skep.testing.builders import node, nodes, service, task, view

WEB = service(2)
A = task("a", WEB)


def dirty(old: Stored | None, new: Stored | None, *objects: Stored) -> list[str]:
    action: Literal["create", "update", "remove"]
    action = "create" if old is None else "remove" if new is None else "update"
    seen: MemoryView = view(*objects, *([new] if new is not None else []))
    return sorted(Orchestrator().dirty(Event("", action, old, new), seen))


def in_state(state: TaskState) -> Stored:
    return replace(A, status=replace(A.status, state=state))


def test_every_change_of_a_service_matters() -> None:
    assert dirty(None, WEB) == dirty(WEB, WEB) == dirty(WEB, None) == ["web"]


def test_the_death_of_a_task_matters() -> None:
    """To its slot, but where slots wait for each other."""
    failed = in_state(TaskState.FAILED)
    assert dirty(A, failed, WEB) == ["web/1"]
    assert dirty(A, failed, replace(WEB, update_status=UpdateStatus(state="updating"))) == ["web"]
    assert dirty(A, failed, service(2, labels={"skep.rebalance": "1"})) == ["web"]
    moved = replace(A, origin="drain")
    assert dirty(moved, replace(moved, status=replace(A.status, state=TaskState.FAILED)), WEB) == [
        "web"
    ]


def test_a_task_that_vanishes_matters_to_the_service() -> None:
    assert dirty(A, None, WEB) == ["web"]
    assert dirty(in_state(TaskState.FAILED), None, WEB) == [], "it is the reaper's"


@pytest.mark.parametrize("state", [TaskState.PREPARING, TaskState.STARTING, TaskState.RUNNING])
def test_a_task_that_just_comes_up_does_not_matter(state: TaskState) -> None:
    """So that ten thousand tasks that start do not make ten thousand plans."""
    assert dirty(in_state(TaskState.ASSIGNED), in_state(state), WEB) == []


def test_a_task_that_runs_matters_to_an_update() -> None:
    updating = replace(WEB, update_status=UpdateStatus(state="updating"))
    assert dirty(in_state(TaskState.STARTING), A, updating) == ["web"]


def test_a_task_that_runs_matters_to_others_in_its_slot() -> None:
    assert dirty(in_state(TaskState.STARTING), A, WEB, task("b", WEB)) == ["web/1"]


def test_a_task_that_is_given_to_a_node_that_went_down_meanwhile_matters() -> None:
    unassigned = replace(A, node_id="")
    assert dirty(unassigned, A, WEB, node("n1", state="down")) == ["web/1"]
    assert dirty(unassigned, A, WEB, node("n1")) == []


def test_a_node_that_goes_down_concerns_its_tasks_and_global_services() -> None:
    everywhere = service(None, name="everywhere")
    down = node("n1", state="down")
    assert dirty(node("n1"), down, WEB, A, everywhere, *nodes(1)[1:]) == ["everywhere", "web/1"]


def test_a_node_that_is_drained_concerns_whole_services() -> None:
    assert dirty(node("n1"), node("n1", availability="drain"), WEB, A) == ["web"]


def test_a_node_that_is_heard_again_after_a_restart_of_the_manager_is_nothing_new() -> None:
    """Thousands are, one after the other, and each plan looks at all tasks of a service."""
    unheard, heard, down = (node("n1", state=state) for state in ("unknown", "ready", "down"))
    everywhere = service(None, name="everywhere")
    assert dirty(heard, unheard, WEB, A) == dirty(unheard, heard, WEB, A) == []
    assert dirty(unheard, heard, WEB, A, everywhere) == ["everywhere"]
    assert dirty(unheard, down, WEB, A) == dirty(down, heard, WEB, A) == ["web/1"]


def test_a_node_that_joins_concerns_those_who_want_to_be_on_it() -> None:
    spreading = service(2, name="spreading", labels={"skep.rebalance": "1"})
    everywhere = service(None, name="everywhere")
    assert dirty(None, node("n9"), WEB, spreading, everywhere) == ["everywhere", "spreading"]


def test_a_node_that_describes_itself_again_concerns_nobody() -> None:
    before = node("n1")
    newer = replace(before.description.tls_info, trust_root="another")
    after = replace(before, description=replace(before.description, tls_info=newer))
    assert dirty(before, after, service(None), A) == []


def test_a_new_manager_looks_at_every_service_and_at_what_is_left_of_old_ones() -> None:
    orphan = task("b", service(name="gone"))
    assert sorted(Orchestrator().everything(view(WEB, A, orphan))) == ["gone", "web"]
