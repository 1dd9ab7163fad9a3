"""A drain empties a node within the update settings of its services."""

from __future__ import annotations

from skep.manager.orchestrator import Orchestrator
from skep.model.service import RestartPolicy, Service, UpdateConfig
from skep.model.states import TaskState
from skep.model.task import Task
from skep.testing.builders import node, nodes, seconds, service, task, view
from skep.testing.transcript import look

DRAINED = node("n1", availability="drain")
OTHER = node("n2")


def spread(web: Service, here: int, there: int) -> list[Task]:
    """The first slots on the drained node, the next ones on the other."""
    on = ["n1"] * here + ["n2"] * there
    return [task(f"t{slot}", web, slot, on=on[slot - 1]) for slot in range(1, len(on) + 1)]


def moved(plan: list[str]) -> list[str]:
    return [line.split()[0] for line in plan if line.endswith("to shutdown: drain of node n1")]


def test_a_default_service_moves_at_once_what_is_not_half_of_it() -> None:
    """Ten of thirty: as quick as Swarm. The new tasks are prepared while the old ones stop."""
    web = service(30)
    plan = look(Orchestrator(), view(web, DRAINED, OTHER, spread(web, 10, 20)))
    assert moved(plan) == [f"t{slot}" for slot in range(1, 11)]
    assert plan[10] == "new new1 in slot 1 held: replaces task t1: drain of node n1"
    assert plan[-1] == "look at web again in 60 s"
    assert len(plan) == 21


def test_a_default_service_never_moves_more_than_half_at_a_time() -> None:
    web = service(10)
    tasks = spread(web, 10, 0)
    assert len(moved(look(Orchestrator(), view(web, DRAINED, OTHER, tasks)))) == 5


def test_a_single_replica_moves() -> None:
    web = service(1)
    plan = look(Orchestrator(), view(web, DRAINED, OTHER, spread(web, 1, 0)))
    assert moved(plan) == ["t1"]


def test_a_service_that_says_how_it_is_updated_is_moved_in_that_way() -> None:
    """Two at a time; the delay is for new versions only."""
    web = service(5, update=UpdateConfig(parallelism=2, delay=seconds(60)))
    plan = look(Orchestrator(), view(web, DRAINED, OTHER, spread(web, 5, 0)))
    assert moved(plan) == ["t1", "t2"]


def test_the_next_one_moves_when_the_last_one_runs() -> None:
    web = service(2, update=UpdateConfig(parallelism=1))
    old = task("t1", web, 1, desired=TaskState.SHUTDOWN, state=TaskState.SHUTDOWN)
    waiting = task("t2", web, 2)
    starting = task("b", web, 1, on="n2", state=TaskState.STARTING, born=9, origin="drain")
    running = task("b", web, 1, on="n2", born=9, origin="drain")
    assert look(Orchestrator(), view(web, DRAINED, OTHER, old, waiting, starting)) == []
    assert moved(look(Orchestrator(), view(web, DRAINED, OTHER, old, waiting, running))) == ["t2"]


def test_start_first_keeps_the_old_task_until_the_new_one_runs() -> None:
    web = service(1, update=UpdateConfig(parallelism=1, order="start-first"))
    old = task("a", web)
    assert look(Orchestrator(), view(web, DRAINED, OTHER, old)) == [
        "new new1 in slot 1: replaces task a: drain of node n1"
    ]
    new = task("b", web, on="n2", born=5, origin="drain", cause="replaces task a: drain of node n1")
    assert look(Orchestrator(), view(web, DRAINED, OTHER, old, new)) == [
        "a to shutdown: drain of node n1"
    ]


def test_a_start_first_move_that_fails_is_tried_again_beside_the_old_task() -> None:
    web = service(1, update=UpdateConfig(parallelism=1, order="start-first"))
    broken = task("b", web, on="n2", born=5, state=TaskState.FAILED, origin="drain", err="no")
    assert look(Orchestrator(), view(web, DRAINED, OTHER, task("a", web), broken)) == [
        "b to shutdown: no",
        "new new1 in slot 1 held: replaces task b: no",
        "look at web again in 5 s",
    ]


def test_what_does_not_run_yet_needs_no_care() -> None:
    web = service(1, update=UpdateConfig(parallelism=1, order="start-first"))
    preparing = task("a", web, state=TaskState.PREPARING)
    assert moved(look(Orchestrator(), view(web, DRAINED, OTHER, preparing))) == ["a"]


def test_where_nobody_can_take_the_tasks_all_stop() -> None:
    """There is nothing to wait for, and the user's word counts."""
    web = service(4, update=UpdateConfig(parallelism=1, order="start-first"))
    plan = look(Orchestrator(), view(web, DRAINED, spread(web, 4, 0)))
    assert moved(plan) == ["t1", "t2", "t3", "t4"]


def test_a_task_that_must_not_run_again_just_stops() -> None:
    web = service(restart=RestartPolicy(condition="none"))
    assert look(Orchestrator(), view(web, DRAINED, OTHER, task("a", web))) == [
        "a to shutdown: drain of node n1; restart condition none"
    ]


def test_a_node_that_is_drained_and_down_is_simply_lost() -> None:
    web = service(4)
    down = node("n1", availability="drain", state="down")
    plan = look(Orchestrator(), view(web, down, OTHER, spread(web, 4, 0)))
    assert len(plan) == 8


def test_a_paused_node_keeps_its_tasks() -> None:
    web = service(2)
    paused = node("n1", availability="pause")
    assert look(Orchestrator(), view(web, paused, nodes(2)[1:], spread(web, 2, 0))) == []
