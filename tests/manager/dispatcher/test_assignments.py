"""What a node is told: a difference between what is and what it was told before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import encode
from msgspec.structs import replace

from skep.manager.dispatcher import assignments
from skep.manager.dispatcher.assignments import (
    News,
    Thing,
    Told,
    complete,
    difference,
    in_parts,
    matters,
)
from skep.manager.dispatcher.kinds import KINDS, Found, Kind, concerned
from skep.model.base import Version
from skep.model.network import Network, NetworkSpec
from skep.model.node import Node
from skep.model.service import RegistryAuth
from skep.model.states import TaskState
from skep.model.task import ContainerStatus, NetworkAttachment, NetworkRef, Task, TaskStatus
from skep.protocol.messages import Assigned, Assignments, Reference
from skep.store.change import Event, View
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


def refs(*names: str) -> list[Reference]:
    """ "task a", "network n"…"""
    return [Reference(*name.split(" ")) for name in names]


def said(news: News | None) -> list[str]:
    """The news as sentences: "task a needs network n", "forget task b"."""
    if news is None:
        return []

    def name(thing: Thing | Reference) -> str:
        return f"{thing.kind} {thing.id}"

    def needs(thing: Thing) -> str:
        return f" needs {', '.join(map(name, thing.needs))}" if thing.needs else ""

    told = [name(thing) + needs(thing) for thing in news.things]
    return told + [f"forget {name(each)}" for each in news.removed]


def test_a_session_begins_with_everything_that_concerns_the_node() -> None:
    mine = [task("a", "n"), task("b", "n", "m")]
    others = [task("c", "x", on="n2"), task("d", on=""), task("e", state=TaskState.PENDING)]
    networks = [network(each) for each in "mnx"]
    news, told = complete(b.view(mine, others, networks), "n1")
    assert said(news) == [
        "network m",
        "network n",
        "task a needs network n",
        "task b needs network n, network m",
    ]
    assert [thing.body for thing in news.things] == [*networks[:2], *mine]
    assert told.uses == dict(zip(refs("network m", "network n"), (1, 2), strict=True))


def test_what_the_agent_knows_is_not_said_again() -> None:
    view = b.view(task("a", "n"), network("n"))
    _, told = complete(view, "n1")
    assert difference(view, "n1", told, ["a"], refs("network n")) == (None, told)
    reported = b.view(task("a", "n", state=TaskState.RUNNING), network("n"))
    assert difference(reported, "n1", told, ["a"]) == (None, told)


def test_a_new_wish_is_said_without_its_networks() -> None:
    view = b.view(task("a", "n"), network("n"))
    _, told = complete(view, "n1")
    ended = task("a", "n", desired=TaskState.SHUTDOWN)
    news, after = difference(b.view(ended, network("n")), "n1", told, ["a"])
    assert said(news) == ["task a needs network n"]
    assert news is not None and news.things[0].body == ended
    assert after.uses == told.uses


def test_a_network_goes_with_the_last_task_on_it() -> None:
    both = b.view(task("a", "n"), task("b", "n"), network("n"))
    _, told = complete(both, "n1")
    one = b.view(task("b", "n"), network("n"))
    news, told = difference(one, "n1", told, ["a"])
    assert said(news) == ["forget task a"]
    news, told = difference(b.view(network("n")), "n1", told, ["b"])
    assert said(news) == ["forget task b", "forget network n"]
    assert told == Told()


def test_a_network_that_changed_is_said_to_those_who_use_it() -> None:
    view = b.view(task("a", "n"), network("n"), network("m"))
    _, told = complete(view, "n1")
    changed = b.view(task("a", "n"), network("n", 2), network("m", 2))
    news, told = difference(changed, "n1", told, [], refs("network m", "network n"))
    assert said(news) == ["network n"]
    assert told.things[Reference("network", "n")] == 2


def test_who_needs_credentials_gets_them_with_the_task_and_never_for_the_disk() -> None:
    auth = RegistryAuth(id="web", current="secret")
    news, told = complete(b.view(task("a"), auth), "n1")
    assert said(news) == ["registry-auth web", "task a needs registry-auth web"]
    assert [(thing.body, thing.volatile) for thing in news.things[:1]] == [("secret", True)]
    changed = RegistryAuth(id="web", version=Version(2), current="new secret")
    again, _ = difference(b.view(task("a"), changed), "n1", told, [], refs("registry-auth web"))
    assert said(again) == ["registry-auth web"]


def test_what_is_not_there_is_not_needed() -> None:
    """Who needed it would wait for it without end."""
    news, _ = complete(b.view(task("a", "gone"), RegistryAuth(id="web")), "n1")
    assert said(news) == ["task a"]


def test_what_is_gone_stays_while_a_task_has_it() -> None:
    view = b.view(task("a", "n"), network("n"))
    _, told = complete(view, "n1")
    ending = b.view(task("a", "n", desired=TaskState.SHUTDOWN))
    news, told = difference(ending, "n1", told, ["a"], refs("network n"))
    assert said(news) == ["task a needs network n"]
    news, told = difference(b.view(), "n1", told, ["a"])
    assert said(news) == ["forget task a", "forget network n"]
    assert told == Told()


def greeting_of(view: View, node_id: str) -> Found | None:
    node = view.node(node_id)
    return None if node is None else Found(node.version.index, f"hello {node_id}")


GREETING = Kind(
    name="greeting",
    needed_by=lambda task: [task.node_id],
    find=greeting_of,
    changed=lambda event: [event.new.id] if isinstance(event.new, Node) else [],
    volatile=True,
)


def test_another_kind_is_another_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "greeting", GREETING)
    node = b.node("n1")
    news, told = complete(b.view(node, task("a", "n"), network("n")), "n1")
    assert said(news) == [
        "greeting n1",
        "network n",
        "task a needs network n, greeting n1",
    ]
    (part,) = in_parts(news)
    hello = Assigned("greeting", "n1", node.version.index, encode("hello n1"), volatile=True)
    assert part.assigned[0] == hello
    later = replace(node, version=Version(7))
    event = Event("node", "update", node, later)
    assert list(concerned(event)) == refs("greeting n1")
    again, told = difference(b.view(later, task("a", "n")), "n1", told, [], concerned(event))
    assert said(again) == ["greeting n1"]
    last, told = difference(b.view(later), "n1", told, ["a"])
    assert said(last) == ["forget task a", "forget greeting n1", "forget network n"]
    assert told == Told()


def test_a_task_that_died_before_its_node_heard_of_it_is_never_told() -> None:
    rejected = task("a", state=TaskState.REJECTED)
    assert complete(b.view(rejected), "n1") == (News([], []), Told())


def test_a_dead_task_that_had_a_container_is_told_so_that_it_can_be_removed_later() -> None:
    status = TaskStatus(state=TaskState.FAILED, container_status=ContainerStatus("c", 0))
    dead = replace(task("a"), status=status)
    news, _ = complete(b.view(dead), "n1")
    assert [thing.body for thing in news.things] == [dead]


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


def test_no_news_are_one_message_all_the_same() -> None:
    assert list(in_parts(News([], []))) == [Assignments()]


@given(
    sizes=st.lists(st.integers(0, 60), max_size=9),
    removed=st.integers(0, 9),
)
def test_long_news_go_in_parts_of_bounded_size_in_order(sizes: list[int], removed: int) -> None:
    news = News(
        [Thing("task", f"t{n}", n, "x" * size) for n, size in enumerate(sizes)],
        [Reference("task", f"x{n}") for n in range(removed)],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assignments, "_A_PART", 3)
        patch.setattr(assignments, "_A_PART_BYTES", 50)
        patch.setattr(assignments, "_REMOVED_A_PART", 2)
        parts = list(in_parts(news))
    told = [each for part in parts for each in part.assigned]
    assert [(each.id, each.body) for each in told] == [
        (thing.id, encode(thing.body)) for thing in news.things
    ]
    assert [each for part in parts for each in part.removed] == news.removed
    assert [part.more for part in parts] == [*[True] * (len(parts) - 1), False]
    for part in parts:
        size = sum(len(each.body) for each in part.assigned)
        assert len(part.assigned) <= 3 and (size <= 50 or len(part.assigned) == 1)
        assert len(part.removed) <= 2
    first_removal = next((n for n, part in enumerate(parts) if part.removed), len(parts))
    assert not any(part.assigned for part in parts[first_removal + 1 :])
