"""Nodes: found, changed, removed; the last manager stays one."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from skep.kit.errors import InvalidArgument, NotFound, OutOfSequence, Unimplemented
from skep.kit.where import Where, anything
from skep.manager.control import Control
from skep.model.node import Node, NodeSpec
from skep.store.change import Create, Update
from skep.store.store import Store
from skep.testing.builders import node


def found(control: Control, where: Where[Node] = anything) -> list[str]:
    return [this.id for this in control.nodes.find(where)]


def version(control: Control, reference: str) -> int:
    return control.nodes.get(reference).version.index


async def test_nodes_are_found_by_id_and_by_what_is_asked_of_them(control: Control) -> None:
    assert found(control) == ["m1", "w1"]
    assert found(control, lambda node: node.certificate_role == "manager") == ["m1"]


async def test_an_update_replaces_labels_and_availability(control: Control) -> None:
    wish = NodeSpec(labels={"zone": "a"}, availability="drain")
    read = version(control, "w1")
    await control.nodes.update("w1", read, wish)
    assert control.nodes.get("w1").spec == wish
    with pytest.raises(OutOfSequence):
        await control.nodes.update("w1", read, NodeSpec())


async def test_what_a_node_says_makes_no_version_old(control: Control, store: Store) -> None:
    read = version(control, "w1")
    node = control.nodes.get("w1")
    await store.commit([Update(replace(node, status=replace(node.status, message="busy")))])
    await control.nodes.update("w1", read, NodeSpec(labels={"zone": "a"}))
    assert control.nodes.get("w1").status.message == "busy"
    with pytest.raises(OutOfSequence):
        await control.nodes.update("w1", read, NodeSpec())


async def test_roles_change_only_where_the_cluster_can(control: Control) -> None:
    with pytest.raises(InvalidArgument, match="attempting to demote the last manager"):
        await control.nodes.update("m1", version(control, "m1"), NodeSpec(role="worker"))
    with pytest.raises(Unimplemented, match="w1 cannot be promoted"):
        await control.nodes.update("w1", version(control, "w1"), NodeSpec(role="manager"))


async def test_a_node_is_removed_when_it_is_down_or_by_force(
    control: Control, store: Store
) -> None:
    with pytest.raises(InvalidArgument, match="node w1 is not down and can't be removed"):
        await control.nodes.remove("w1")
    with pytest.raises(InvalidArgument, match="node m1 is a cluster manager"):
        await control.nodes.remove("m1", force=True)
    w1 = store.view.node("w1")
    assert w1 is not None
    await store.commit([Update(replace(w1, status=replace(w1.status, state="down")))])
    await control.nodes.remove("w1")
    assert found(control) == ["m1"]
    await store.commit([Create(node("w2"))])
    await control.nodes.remove("w2", force=True)
    assert found(control) == ["m1"]


async def test_a_node_is_known_by_id_hostname_and_the_start_of_its_id(
    control: Control, store: Store
) -> None:
    twins = [replace(node(f"x{i}"), description=node("twin").description) for i in (1, 2)]
    await store.commit([Create(twin) for twin in twins])
    assert control.nodes.get("w").id == "w1"
    assert control.nodes.get("x1").id == "x1"
    for both in ("twin", "x"):
        with pytest.raises(InvalidArgument, match=rf"node {both} is ambiguous \(2 matches found\)"):
            control.nodes.get(both)
    for nobody in ("", "n9"):
        with pytest.raises(NotFound, match=f"node {nobody} not found"):
            control.nodes.get(nobody)
