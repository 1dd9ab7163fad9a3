"""Services that ask for it spread to nodes that join."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from skep.manager.orchestrator import Orchestrator
from skep.model.service import Service, UpdateConfig
from skep.model.states import TaskState
from skep.model.task import Task
from skep.testing.builders import node, nodes, seconds, service, task, view
from skep.testing.transcript import look


def rebalanced(replicas: int, **words: Any) -> Service:
    return service(replicas, labels={"skep.rebalance": "true"}, **words)


def crowd(of: Service, number: int) -> list[Task]:
    """All on the first node."""
    return [task(f"t{slot}", of, slot) for slot in range(1, number + 1)]


def test_tasks_move_start_first_one_at_a_time() -> None:
    web = rebalanced(4)
    assert look(Orchestrator(), view(web, nodes(2), crowd(web, 4))) == [
        "new new1 in slot 4: replaces task t4: rebalance from node n1"
    ]


def test_they_move_only_where_the_service_asks_for_it() -> None:
    web = service(4)
    assert look(Orchestrator(), view(web, nodes(2), crowd(web, 4))) == []


def test_they_move_until_nodes_differ_by_one() -> None:
    web = rebalanced(5, update=UpdateConfig(parallelism=0))
    assert look(Orchestrator(), view(web, nodes(2), crowd(web, 5))) == [
        "new new1 in slot 5: replaces task t5: rebalance from node n1",
        "new new2 in slot 4: replaces task t4: rebalance from node n1",
    ]
    moved = [*crowd(web, 3), task("t4", web, 4, on="n2"), task("t5", web, 5, on="n2")]
    assert look(Orchestrator(), view(web, nodes(2), moved)) == []


def test_nodes_that_cannot_have_the_service_do_not_count() -> None:
    web = rebalanced(4, constraints=["node.labels.disk == ssd"])
    possible = node("n1", labels={"disk": "ssd"})
    paused = node("n3", labels={"disk": "ssd"}, availability="pause")
    objects = view(web, possible, node("n2"), paused, crowd(web, 4))
    assert look(Orchestrator(), objects) == []


def test_the_next_move_waits_for_the_last_one_and_the_delay() -> None:
    web = rebalanced(4, update=UpdateConfig(parallelism=1, delay=seconds(30)))
    new = task("b", web, 4, on="n2", born=90, origin="rebalance")
    [old] = crowd(web, 4)[3:]
    starting = replace(
        new, status=replace(new.status, state=TaskState.STARTING), running_since=None
    )
    pair = [*crowd(web, 3), old, starting]
    assert look(Orchestrator(), view(web, nodes(2), pair)) == []
    moved = [*crowd(web, 3), new, task("t5", web, 5)]
    web5 = replace(web, spec=rebalanced(5, update=web.spec.update_config).spec)
    assert look(Orchestrator(), view(web5, nodes(2), moved)) == ["look at web again in 20 s"]


def test_a_slot_that_was_moved_stays_for_ten_minutes() -> None:
    """Whatever the scheduler made of it."""
    web = rebalanced(2)
    tasks = [task(f"b{slot}", web, slot, born=1, origin="rebalance") for slot in (1, 2)]
    assert look(Orchestrator(), view(web, nodes(2), tasks), now=600) == []
    assert look(Orchestrator(), view(web, nodes(2), tasks), now=602) == [
        "new new1 in slot 2: replaces task b2: rebalance from node n1"
    ]
