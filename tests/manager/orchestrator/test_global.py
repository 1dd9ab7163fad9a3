"""Global services: one task on each node that may have it."""

from __future__ import annotations

from typing import Any

from skep.manager.orchestrator import Orchestrator
from skep.model.service import RestartPolicy, Service
from skep.model.states import TaskState
from skep.model.task import Task
from skep.testing.builders import node, nodes, service, task, view
from skep.testing.transcript import look

WEB = service(None)


def on(node_id: str, of: Service = WEB, **fields: Any) -> Task:
    return task(f"on-{node_id}", of, 0, on=node_id, **fields)


def test_each_ready_node_has_its_task_from_birth() -> None:
    not_yet = [node("n3", state="unknown"), node("n4", state="down")]
    assert look(Orchestrator(), view(WEB, nodes(2), not_yet)) == [
        "new new1 in node n1: node n1 is ready",
        "new new2 in node n2: node n2 is ready",
    ]


def test_only_nodes_that_meet_the_constraints_have_one() -> None:
    web = service(None, constraints=["node.labels.disk == ssd"])
    objects = view(web, node("n1"), node("n2", labels={"disk": "ssd"}), on("n1", web))
    assert look(Orchestrator(), objects) == [
        "on-n1 to shutdown: node n1 does not meet the constraints",
        "new new1 in node n2: node n2 is ready",
    ]


def test_a_drained_node_loses_its_task() -> None:
    drained = node("n1", availability="drain")
    assert look(Orchestrator(), view(WEB, drained, on("n1"))) == [
        "on-n1 to shutdown: drain of node n1"
    ]


def test_a_paused_node_keeps_its_task_and_gets_no_other() -> None:
    paused = [node("n1", availability="pause"), node("n2", availability="pause")]
    assert look(Orchestrator(), view(WEB, paused, on("n1"))) == []


def test_a_node_that_is_down_keeps_its_task() -> None:
    """Nobody else could do its work; when it returns with the task there is nothing to do."""
    assert look(Orchestrator(), view(WEB, node("n1", state="down"), on("n1"))) == []
    assert look(Orchestrator(), view(WEB, node("n1"), on("n1"))) == []


def test_a_node_that_was_down_during_an_update_gets_the_newest_spec() -> None:
    new = service(None, image="app:2", version=2, previous=WEB)
    assert look(Orchestrator(), view(new, node("n1", state="down"), on("n1"))) == [
        "on-n1 to shutdown: the service was updated while its node was down"
    ]
    still_running = on("n1", desired=TaskState.SHUTDOWN)
    assert look(Orchestrator(), view(new, node("n1"), still_running)) == [
        "new new1 in node n1 held: node n1 is ready",
        "look at web again in 60 s",
    ]


def test_a_removed_node_takes_its_task_with_it() -> None:
    assert look(Orchestrator(), view(WEB, on("n1"))) == [
        "on-n1 to shutdown: node n1 was removed from the cluster"
    ]


def test_a_dead_task_is_restarted_on_its_node() -> None:
    web = service(None, restart=RestartPolicy(delay=0))
    dead = on("n1", web, state=TaskState.FAILED, err="gone")
    assert look(Orchestrator(), view(web, node("n1"), dead)) == [
        "on-n1 to shutdown: gone",
        "new new1 in node n1: replaces task on-n1: gone",
    ]


def test_an_update_goes_node_by_node() -> None:
    new = service(None, image="app:2", version=2, previous=WEB)
    assert look(Orchestrator(), view(new, nodes(2), on("n1"), on("n2"))) == [
        "web updating: update in progress",
        "on-n1 to shutdown: update to image app:2",
        "new new1 in node n1 held: replaces task on-n1: update to image app:2",
        "look at web again in 60 s",
    ]
