"""Nodes go down, are removed, and come back."""

from __future__ import annotations

from msgspec.structs import replace

from skep.manager.orchestrator import Orchestrator
from skep.model.service import RestartPolicy
from skep.model.states import TaskState
from skep.testing.builders import at, node, service, task, view
from skep.testing.transcript import look

DOWN = node("n2", state="down", message="heartbeat failure")


def test_tasks_of_a_lost_node_start_elsewhere_at_once() -> None:
    """All of them, without the restart delay, however the service is updated."""
    web = service(2)
    lost = [task("a", web, 1, on="n2"), task("b", web, 2, on="n2")]
    assert look(Orchestrator(), view(web, node(), DOWN, lost)) == [
        "a to shutdown: node n2 is down: heartbeat failure",
        "b to shutdown: node n2 is down: heartbeat failure",
        "new new1 in slot 1: replaces task a: node n2 is down: heartbeat failure",
        "new new2 in slot 2: replaces task b: node n2 is down: heartbeat failure",
    ]


def test_tasks_of_a_removed_node_start_elsewhere() -> None:
    web = service()
    assert look(Orchestrator(), view(web, node(), task("a", web, on="n2"))) == [
        "a to shutdown: node n2 was removed from the cluster",
        "new new1 in slot 1: replaces task a: node n2 was removed from the cluster",
    ]


def test_a_node_that_the_manager_has_not_heard_of_yet_is_not_lost() -> None:
    """After a change of leader nodes are unknown, not down."""
    web = service()
    assert look(Orchestrator(), view(web, node(state="unknown"), task("a", web))) == []


def test_when_the_node_returns_only_the_successor_is_wanted() -> None:
    """The old task was told to stop when its successor was made; nothing more is to be done."""
    web = service()
    old = task("a", web, on="n2", desired=TaskState.SHUTDOWN)
    assert look(Orchestrator(), view(web, node(), node("n2"), old, task("b", web, born=5))) == []


def test_a_loss_uses_up_no_attempt() -> None:
    web = service(restart=RestartPolicy(max_attempts=1))
    lost = task("a", web, on="n2", restarts=[at(1)])
    assert look(Orchestrator(), view(web, node(), DOWN, lost))[1:] == [
        "new new1 in slot 1: replaces task a: node n2 is down: heartbeat failure"
    ]


def test_a_task_that_must_not_run_again_is_left_where_it_is() -> None:
    """Its node may come back with it. Only if that is certain not to happen it is given up."""
    web = service(restart=RestartPolicy(condition="none"))
    lost = task("a", web, on="n2")
    assert look(Orchestrator(), view(web, node(), DOWN, lost)) == []
    orphan = replace(lost, status=replace(lost.status, state=TaskState.ORPHANED))
    assert look(Orchestrator(), view(web, node(), orphan)) == [
        "a to shutdown: orphaned; restart condition none"
    ]


def test_a_held_task_that_is_lost_is_still_held() -> None:
    web = service()
    held = task("b", web, on="n2", state=TaskState.READY, desired=TaskState.READY, born=98,
                hold_until=at(103))  # fmt: skip
    assert look(Orchestrator(), view(web, node(), DOWN, held)) == [
        "b to shutdown: node n2 is down: heartbeat failure",
        "new new1 in slot 1 held: replaces task b: node n2 is down: heartbeat failure",
        "look at web again in 3 s",
    ]
