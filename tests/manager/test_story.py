"""Commits told as events, by value: Swarm's attributes as dockerd 20.10 was seen to give them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from skep.manager.story import Story, told
from skep.model.event import Event
from skep.model.network import Network, NetworkSpec
from skep.model.node import ManagerStatus, Node
from skep.model.service import Service, UpdateStatus
from skep.model.states import TaskState
from skep.model.task import ContainerStatus, Task
from skep.store.change import Commit, Stored
from skep.store.change import Event as Changed
from skep.store.kinds import kind_of
from skep.store.primary import Primary
from skep.testing.builders import node, service, task
from skep.testing.stand_in import stand_in

NOW = 1_700_000_000_000_000_001


def change(old: Stored | None, new: Stored | None, why: str = "") -> Changed:
    thing = new or old
    assert thing is not None
    action: Any = "create" if old is None else "remove" if new is None else "update"
    return Changed(kind_of(thing).name, action, old, new, why)


def tell(old: Stored | None, new: Stored | None, why: str = "") -> Event:
    event = told(change(old, new, why), NOW)
    assert event is not None
    return event


def news(old: Stored | None, new: Stored | None, why: str = "") -> dict[str, str]:
    """What an event says beside the name."""
    attributes = dict(tell(old, new, why).actor.attributes)
    attributes.pop("name")
    return attributes


WEB = service(2)
NETWORK = Network(id="net", spec=NetworkSpec(name="back"))


@pytest.mark.parametrize(
    ("thing", "kind", "name"),
    [(WEB, "service", "web"), (node("n1"), "node", "n1"), (NETWORK, "network", "back")],
)
def test_things_come_and_go_by_name(thing: Stored, kind: str, name: str) -> None:
    for old, new, action in ((None, thing, "create"), (thing, None, "remove")):
        event = tell(old, new)
        assert (event.type, event.action, event.scope) == (kind, action, "swarm")
        assert (event.actor.id, event.actor.attributes) == (thing.id, {"name": name})
        assert (event.time, event.time_nano) == (1_700_000_000, NOW)


def updating(of: Service, state: Any) -> Service:
    return replace(of, update_status=UpdateStatus(state=state))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (WEB, service(2, labels={"a": "b"}), {}),
        (WEB, service(3), {"replicas.old": "2", "replicas.new": "3"}),
        (WEB, service(2, image="app:2"), {"image.old": "app:1", "image.new": "app:2"}),
        (service(None), service(None, labels={"a": "b"}), {}),
        (WEB, updating(WEB, "updating"), {"updatestate.new": "updating"}),
        (updating(WEB, "updating"), updating(WEB, "updating"), {}),
        (
            updating(WEB, "updating"),
            updating(WEB, "rollback_started"),
            {"updatestate.old": "updating", "updatestate.new": "rollback_started"},
        ),
        (updating(WEB, "completed"), WEB, {}),
    ],
)
def test_a_service_is_updated(old: Service, new: Service, expected: dict[str, str]) -> None:
    assert news(old, new) == expected


def leads(leader: bool) -> Node:
    status = ManagerStatus(leader=leader, reachability="reachable")
    return replace(node("m1"), manager_status=status)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (node(), node(labels={"z": "1"}), {}),
        (node(state="unknown"), node(), {"state.old": "unknown", "state.new": "ready"}),
        (
            node(),
            node(availability="drain"),
            {"availability.old": "active", "availability.new": "drain"},
        ),
        (
            node(),
            replace(node(), certificate_role="manager"),
            {"role.old": "worker", "role.new": "manager"},
        ),
        (leads(False), leads(True), {"leader.old": "false", "leader.new": "true"}),
        (node("m1"), leads(True), {}),
        (
            leads(True),
            replace(leads(True), manager_status=ManagerStatus(leader=True)),
            {"reachability.old": "reachable", "reachability.new": "unknown"},
        ),
    ],
)
def test_a_node_is_updated(old: Node, new: Node, expected: dict[str, str]) -> None:
    assert news(old, new) == expected


ABOUT = {"service": "web", "service.id": "web", "slot": "1", "node.id": "n1"}


def running(**fields: Any) -> Task:
    return task("t1", WEB, **fields)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            None,
            running(state=TaskState.NEW, on="", cause="slot 1 is empty"),
            {
                "state.new": "new",
                "desired.new": "running",
                "origin": "scale",
                "cause": "slot 1 is empty",
                "node.id": None,
            },
        ),
        (
            running(state=TaskState.PENDING, on=""),
            running(state=TaskState.ASSIGNED, cause="slot 1 is empty"),
            {"state.old": "pending", "state.new": "assigned", "cause": "slot 1 is empty"},
        ),
        (
            running(state=TaskState.PENDING, on=""),
            running(state=TaskState.PENDING, on="", err="no suitable node"),
            {"error": "no suitable node", "node.id": None},
        ),
        (
            running(),
            running(desired=TaskState.SHUTDOWN, cause_of_end="node n1 is drained"),
            {"desired.old": "running", "desired.new": "shutdown", "cause": "node n1 is drained"},
        ),
    ],
)
def test_a_task_is_told_with_state_cause_and_node(
    old: Task | None, new: Task, expected: dict[str, str | None]
) -> None:
    wanted = {key: value for key, value in (ABOUT | expected).items() if value is not None}
    assert news(old, new) == wanted


def test_a_task_that_ended_says_how() -> None:
    ended = running(state=TaskState.FAILED, err="it broke")
    container = ContainerStatus(exit_code=3)
    ended = replace(ended, status=replace(ended.status, container_status=container))
    assert news(running(), ended) == ABOUT | {
        "state.old": "running",
        "state.new": "failed",
        "error": "it broke",
        "exitCode": "3",
    }
    assert news(ended, None, "history") == ABOUT | {"cause": "history"}


def test_what_is_no_news_of_a_task_is_not_told() -> None:
    assert told(change(running(), running(labels={"a": "b"})), NOW) is None


def test_tasks_push_out_nothing_of_the_services() -> None:
    story = Story(stand_in(Primary))
    story.hear(Commit(1, (change(None, WEB),)), NOW)
    for revision in range(5_000):
        story.hear(Commit(revision, (change(None, running()),)), NOW)
    assert len(story.events.past()) == 1
    assert len(story.tasks.past()) == 1024
