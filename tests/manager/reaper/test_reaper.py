"""What the reaper forgets, and what it keeps."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from skep.manager.reaper import Reaper
from skep.model.service import RestartPolicy, Service, UpdateStatus
from skep.model.states import TaskState
from skep.model.task import Task
from skep.store.change import Event
from skep.testing.builders import at, cluster, node, service, task, view
from skep.testing.transcript import look

SHUTDOWN, REMOVE, FAILED = TaskState.SHUTDOWN, TaskState.REMOVE, TaskState.FAILED
WEB = service()


def history(number: int, of: Service = WEB, slot: int = 1) -> list[Task]:
    """h1, h2… oldest first, all ended."""
    return [task(f"h{n}", of, slot, state=FAILED, desired=SHUTDOWN, born=n, since=n + 0.5)
            for n in range(1, number + 1)]  # fmt: skip


@pytest.mark.parametrize(("limit", "forgotten"), [
    (5, ["forget h1", "forget h2"]),
    (1, ["forget h1", "forget h2", "forget h3", "forget h4", "forget h5", "forget h6"]),
    (0, ["forget h1", "forget h2", "forget h3", "forget h4", "forget h5", "forget h6"]),
    (9, []),
    (-1, []),
])  # fmt: skip
def test_a_slot_keeps_its_newest_tasks(limit: int, forgotten: list[str]) -> None:
    """The running one is one of them."""
    running = task("a", WEB, born=50)
    assert look(Reaper(), view(WEB, cluster(limit), node(), history(6), running)) == forgotten


def test_without_a_cluster_object_five_are_kept() -> None:
    assert look(Reaper(), view(WEB, node(), history(6))) == ["forget h1"]


def test_max_attempts_keep_one_more_than_those() -> None:
    """So that all of them can be seen."""
    web = service(restart=RestartPolicy(max_attempts=7))
    assert look(Reaper(), view(web, cluster(2), node(), history(9, web))) == ["forget h1"]


def test_slots_are_counted_by_themselves() -> None:
    tasks = [*history(5), *[replace(one, id=f"x{one.id}") for one in history(5, slot=2)]]
    assert look(Reaper(), view(service(2), cluster(5), node(), tasks)) == []


def test_nodes_are_the_slots_of_global_services() -> None:
    web = service(None)
    here = history(6, web, slot=0)
    there = [replace(one, id=f"x{one.id}", node_id="n2") for one in history(5, web, slot=0)]
    assert look(Reaper(), view(web, cluster(5), node(), node("n2"), here, there)) == ["forget h1"]


def test_the_last_task_of_a_slot_is_kept_whatever_the_limit() -> None:
    """It may be the one that says that the slot wants no other."""
    assert look(Reaper(), view(WEB, cluster(0), node(), history(1))) == []


def test_a_dead_task_that_is_still_wanted_is_kept() -> None:
    """The orchestrator has not seen its death yet."""
    dead = task("a", WEB, state=FAILED)
    assert look(Reaper(), view(WEB, cluster(0), node(), dead, task("b", WEB, born=9))) == []


def test_what_an_update_goes_by_is_kept_until_it_is_over() -> None:
    updating = replace(WEB, update_status=UpdateStatus(state="updating", started_at=at(0)))
    attempt = task("a", WEB, state=FAILED, desired=SHUTDOWN, origin="update")
    after = task("b", WEB, born=9)
    assert look(Reaper(), view(updating, cluster(0), node(), attempt, after)) == []
    assert look(Reaper(), view(WEB, cluster(0), node(), attempt, after)) == ["forget a"]


@pytest.mark.parametrize(("state", "on", "forgotten"), [
    (TaskState.RUNNING, "n1", []),
    (TaskState.ASSIGNED, "n1", []),
    (SHUTDOWN, "n1", ["forget a"]),
    (TaskState.PENDING, "", ["forget a"]),
    (TaskState.PENDING, "n1", ["forget a"]),  # of a global service
])  # fmt: skip
def test_a_removed_task_goes_once_it_is_dead_or_if_it_never_got_to_a_node(
    state: TaskState, on: str, forgotten: list[str]
) -> None:
    tasks = task("a", WEB, state=state, desired=REMOVE, on=on)
    assert look(Reaper(), view(WEB, cluster(-1), node(), tasks)) == forgotten


def test_dead_tasks_of_a_removed_service_go() -> None:
    tasks = [*history(1), task("a", WEB, born=9, desired=REMOVE)]
    assert look(Reaper(), view(cluster(), node(), tasks)) == ["forget h1"]


def test_tasks_of_a_removed_node_are_orphaned_and_then_go() -> None:
    lost = task("a", WEB, on="n2", desired=REMOVE)
    assert look(Reaper(), view(WEB, cluster(), lost)) == [
        "a is orphaned: task belonged to a node that has been deleted"
    ]
    orphan = replace(lost, status=replace(lost.status, state=TaskState.ORPHANED))
    assert look(Reaper(), view(WEB, cluster(), orphan)) == ["forget a"]


def test_tasks_of_a_node_that_is_down_for_a_day_are_orphaned() -> None:
    down = node("n1", state="down", down_since=at(0))
    stopping = task("a", WEB, desired=REMOVE)
    day = 24 * 3600
    assert look(Reaper(), view(WEB, cluster(), down, stopping), now=day - 60) == [
        "look at web/1/ again in 60 s"
    ]
    assert look(Reaper(), view(WEB, cluster(), down, stopping), now=day) == [
        "a is orphaned: task belonged to a node that was down for too long"
    ]


def test_only_endings_and_newcomers_make_it_look_at_a_slot() -> None:
    starting = task("a", WEB, state=TaskState.STARTING)
    running, ended = task("a", WEB), history(1)[0]
    empty = view()
    reaper = Reaper()
    assert list(reaper.dirty(Event("task", "update", starting, running), empty)) == []
    assert list(reaper.dirty(Event("task", "update", running, ended), empty)) == ["web/1/"]
    born = Event("task", "create", None, running)
    assert list(reaper.dirty(born, view(running))) == [], "it is alone in its slot"
    assert list(reaper.dirty(born, view(running, ended))) == ["web/1/"]
    updating = replace(WEB, update_status=UpdateStatus(state="updating"))
    objects = view(ended, task("b", WEB, 0, on="n2"))
    assert set(reaper.dirty(Event("service", "update", updating, WEB), objects)) == {
        "web/1/",
        "web/0/n2",
    }
    assert list(reaper.dirty(Event("service", "update", WEB, updating), objects)) == []
    limit = Event("cluster", "update", cluster(5), cluster(1))
    assert set(reaper.dirty(limit, objects)) == {"web/1/", "web/0/n2"}
