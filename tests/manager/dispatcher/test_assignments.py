"""What a node is told: a difference between what is and what it was told before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from skep.manager.dispatcher import assignments
from skep.manager.dispatcher.assignments import (
    Told,
    complete,
    difference,
    halves,
    in_parts,
    matters,
)
from skep.model.base import Version
from skep.model.network import Network, NetworkSpec
from skep.model.service import RegistryAuth
from skep.model.states import TaskState
from skep.model.task import ContainerStatus, NetworkAttachment, NetworkRef, Task, TaskStatus
from skep.protocol.messages import Assignments
from skep.store.change import Event
from skep.testing import builders as b

WEB = b.service(name="web")


def network(network_id: str, version: int = 1) -> Network:
    return Network(
        id=network_id, version=Version(version), spec=NetworkSpec(name=f"net-{network_id}")
    )


def task(
    task_id: str, *networks: str, state: TaskState = TaskState.ASSIGNED, **fields: Any
) -> Task:
    attachments = [NetworkAttachment(network=NetworkRef(id=each)) for each in networks]
    return b.task(task_id, WEB, state=state, networks_attachments=attachments, **fields)


def test_a_session_begins_with_everything_that_concerns_the_node() -> None:
    mine = [task("a", "n"), task("b", "n", "m")]
    others = [task("c", "x", on="n2"), task("d", on=""), task("e", state=TaskState.PENDING)]
    view = b.view(mine, others, [network(each) for each in "mnx"])
    message, told = complete(view, "n1")
    assert message == Assignments(tasks=mine, networks=[network("m"), network("n")])
    assert (set(told.tasks), told.networks, told.uses) == (
        {"a", "b"},
        {"m": 1, "n": 1},
        {"m": 1, "n": 2},
    )


def test_what_the_agent_knows_is_not_said_again() -> None:
    view = b.view(task("a", "n"), network("n"))
    _, told = complete(view, "n1")
    assert difference(view, "n1", told, ["a"], ["n"]) == (None, told)
    reported = b.view(task("a", "n", state=TaskState.RUNNING), network("n"))
    assert difference(reported, "n1", told, ["a"], ["n"]) == (None, told)


def test_a_new_wish_is_said_without_its_networks() -> None:
    view = b.view(task("a", "n"), network("n"))
    _, told = complete(view, "n1")
    ended = task("a", "n", desired=TaskState.SHUTDOWN)
    message, after = difference(b.view(ended, network("n")), "n1", told, ["a"])
    assert message == Assignments(tasks=[ended])
    assert after.uses == {"n": 1}


def test_a_network_goes_with_the_last_task_on_it() -> None:
    both = b.view(task("a", "n"), task("b", "n"), network("n"))
    _, told = complete(both, "n1")
    one = b.view(task("b", "n"), network("n"))
    message, told = difference(one, "n1", told, ["a"])
    assert message == Assignments(removed_tasks=["a"])
    message, told = difference(b.view(network("n")), "n1", told, ["b"])
    assert message == Assignments(removed_tasks=["b"], removed_networks=["n"])
    assert told == Told()


def test_a_network_that_changed_is_said_to_those_who_use_it() -> None:
    view = b.view(task("a", "n"), network("n"), network("m"))
    _, told = complete(view, "n1")
    changed = b.view(task("a", "n"), network("n", 2), network("m", 2))
    message, told = difference(changed, "n1", told, [], ["m", "n"])
    assert message == Assignments(networks=[network("n", 2)])
    assert told.networks == {"n": 2}


def test_who_needs_credentials_gets_them_with_the_task() -> None:
    auth = RegistryAuth(id="web", current="secret")
    view = b.view(task("a"), auth)
    message, _ = complete(view, "n1")
    assert message.registry_auths == {"web": "secret"}


def test_a_task_that_died_before_its_node_heard_of_it_is_never_told() -> None:
    rejected = task("a", state=TaskState.REJECTED)
    message, told = complete(b.view(rejected), "n1")
    assert (message, told) == (Assignments(), Told())


def test_a_dead_task_that_had_a_container_is_told_so_that_it_can_be_removed_later() -> None:
    status = TaskStatus(state=TaskState.FAILED, container_status=ContainerStatus("c", 0))
    dead = replace(task("a"), status=status)
    message, _ = complete(b.view(dead), "n1")
    assert message.tasks == [dead]


def test_most_changes_of_tasks_are_no_news_for_agents() -> None:
    """They are what agents reported themselves."""

    def changed(old: Task | None, new: Task | None) -> bool:
        return matters(Event("task", "update", old, new))

    running = task("a", state=TaskState.RUNNING)
    assert not changed(task("a"), running)
    assert changed(running, task("a", state=TaskState.RUNNING, desired=TaskState.SHUTDOWN))
    assert changed(task("a", state=TaskState.PENDING, on=""), task("a"))
    assert changed(task("a", state=TaskState.PENDING), task("a"))
    assert changed(None, task("a"))
    assert changed(running, None)


def test_long_messages_go_in_parts_networks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assignments, "_A_PART", 2)
    a, c, d = task("a"), task("c"), replace(task("d"), service_id="db")
    whole = Assignments(
        tasks=[a, c, d],
        removed_tasks=["x"],
        networks=[network("n")],
        removed_networks=["y"],
        registry_auths={"web": "w", "db": "d"},
    )
    assert list(in_parts(whole)) == [
        Assignments(networks=[network("n")], more=True),
        Assignments(tasks=[a, c], registry_auths={"web": "w"}, more=True),
        Assignments(tasks=[d], registry_auths={"db": "d"}, more=True),
        Assignments(removed_tasks=["x"], removed_networks=["y"]),
    ]
    short = replace(whole, tasks=[a])
    assert list(in_parts(short)) == [short]


@given(
    tasks=st.integers(0, 5),
    networks=st.integers(0, 5),
    removed=st.lists(st.text("ab", min_size=1), max_size=2),
    more=st.booleans(),
)
def test_a_message_that_is_too_large_is_halved_until_each_part_holds_one_thing(
    tasks: int, networks: int, removed: list[str], more: bool
) -> None:
    whole = Assignments(
        tasks=[task(f"t{n}") for n in range(tasks)],
        networks=[network(f"n{n}") for n in range(networks)],
        removed_tasks=removed,
        more=more,
    )
    parts: list[Assignments] = []

    def cut(message: Assignments) -> None:
        if len(message.tasks) + len(message.networks) < 2:
            parts.append(message)
            return
        for half in halves(message):
            cut(half)

    cut(whole)
    assert [t for part in parts for t in part.tasks] == whole.tasks
    assert [n for part in parts for n in part.networks] == whole.networks
    assert [t for part in parts for t in part.removed_tasks] == removed
    assert [part.more for part in parts] == [*[True] * (len(parts) - 1), more]
    things = ["t" if part.tasks else "n" for part in parts if part.tasks or part.networks]
    assert things == sorted(things)
