"""A kind of object is a row: its name, its class, its unique name, and what it is looked up by."""

from __future__ import annotations

import typing

from skep.model.base import Object
from skep.model.node import Node
from skep.store.kinds import KINDS, Kind, Stored, kind_of
from skep.store.memory import MemoryView, Table
from skep.testing import builders as b

WEB = b.service(name="web")


def test_every_class_that_may_be_stored_is_a_kind() -> None:
    classes = set(typing.get_args(Stored))
    assert classes == {kind.cls for kind in KINDS.values()}
    assert all(issubclass(cls, Object) for cls in classes)
    assert len(KINDS) == len(classes)


def test_the_kind_of_an_object_is_its_classs() -> None:
    assert kind_of(WEB).name == "service"
    assert kind_of(b.node()).name == "node"


def zone(node: Node) -> str:
    return node.spec.labels.get("zone", "")


def test_a_new_row_is_all_that_a_table_needs() -> None:
    kind = Kind("machine", Node, unique_name=lambda node: node.id, by=(zone,))
    table = Table(kind)
    first, second, nowhere = b.node("n1", labels={"zone": "a"}), b.node("n2"), b.node("n0")
    for node in (first, second, nowhere):
        table.put(None, node)
    moved = b.node("n2", labels={"zone": "a"})
    table.put(second, moved)
    assert table.where(zone, "a") == [first, moved]
    assert table.named("n1") == first
    assert table.all() == [nowhere, first, moved]
    table.drop(first)
    assert table.where(zone, "a") == [moved]
    assert table.named("n1") is None
    assert table.where(zone, "") == [], "what has no label is not looked for by it"


def test_listings_are_by_id_however_objects_came_and_stay_as_they_were() -> None:
    names = ["t5", "t1", "t4", "t2"]
    view = MemoryView([WEB, *(b.task(name, WEB, on="n1") for name in names)])
    listed = view.tasks()
    assert [task.id for task in listed] == sorted(names)
    more = b.task("t3", WEB, on="n1")
    view.table(kind_of(more)).put(None, more)
    assert [task.id for task in listed] == sorted(names)
    for listing in (view.tasks(), view.tasks_of_service("web"), view.tasks_of_node("n1")):
        assert [task.id for task in listing] == ["t1", "t2", "t3", "t4", "t5"]
