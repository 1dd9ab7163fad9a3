"""Placement preferences: spread evens out the values of a label, binpack fills nodes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from skep.model.node import Node
from skep.model.service import (
    Placement,
    PlacementPreference,
    ResourceRequirements,
    Resources,
    Service,
    SpreadOver,
    TaskSpec,
)
from skep.model.states import TaskState
from skep.model.task import Task
from skep.testing.builders import GIB, node, service, task, view
from tests.manager.scheduler.conftest import Placed


def over(label: str) -> PlacementPreference:
    return PlacementPreference(spread=SpreadOver(spread_descriptor=label))


def preferring(*preferences: PlacementPreference, cpus: int = 0, memory: int = 0) -> Service:
    wish = Resources(nano_cpus=cpus * 10**9, memory_bytes=memory)
    template = TaskSpec(
        placement=Placement(preferences=list(preferences)),
        resources=ResourceRequirements(reservations=wish),
    )
    bare = service(1)
    return replace(bare, spec=replace(bare.spec, task_template=template))


def waiting(number: int, of: Service) -> list[Task]:
    return [task(f"t{i:02}", of, i, on="", state=TaskState.PENDING) for i in range(1, number + 1)]


def zoned(**zones: str) -> list[Node]:
    return [node(name, labels={"zone": zone} if zone else {}) for name, zone in zones.items()]


def test_zones_get_equal_parts_however_many_nodes_they_have(placed: Placed) -> None:
    of = preferring(over("node.labels.zone"))
    machines = zoned(n1="a", n2="a", n3="a", n4="b")
    assert placed(view(of, machines, waiting(6, of))) == {"n1": 1, "n2": 1, "n3": 1, "n4": 3}


def test_nodes_without_the_label_are_a_branch_of_their_own(placed: Placed) -> None:
    of = preferring(over("node.labels.zone"))
    assert placed(view(of, zoned(n1="a", n2="", n3=""), waiting(4, of))) == {
        "n1": 2,
        "n2": 1,
        "n3": 1,
    }


def test_tasks_that_are_there_count_for_their_zone(placed: Placed) -> None:
    of = preferring(over("node.labels.zone"))
    there = [task(f"old{i}", of, 90 + i, on="n1") for i in range(3)]
    assert placed(view(of, zoned(n1="a", n2="a", n3="b"), there, waiting(3, of))) == {"n3": 3}


def test_preferences_are_levels_of_a_tree(placed: Placed) -> None:
    of = preferring(over("node.labels.zone"), over("node.labels.rack"))
    machines = [
        node("n1", labels={"zone": "a", "rack": "1"}),
        node("n2", labels={"zone": "a", "rack": "2"}),
        node("n3", labels={"zone": "a", "rack": "2"}),
        node("n4", labels={"zone": "b", "rack": "1"}),
    ]
    assert placed(view(of, machines, waiting(8, of))) == {"n1": 2, "n2": 1, "n3": 1, "n4": 4}


def test_a_zone_that_is_full_leaves_its_part_to_the_others(placed: Placed) -> None:
    of = preferring(over("node.labels.zone"), cpus=4)
    machines = [node("n1", labels={"zone": "a"}, cpus=4), node("n2", labels={"zone": "b"}, cpus=16)]
    assert placed(view(of, machines, waiting(5, of))) == {"n1": 1, "n2": 4}


def test_binpack_fills_one_node_before_the_next(placed: Placed) -> None:
    of = preferring(PlacementPreference(binpack="cpu"), cpus=2)
    machines = [node("n1", cpus=8), node("n2", cpus=8), node("n3", cpus=8)]
    other = service(1, name="db")
    there = task("db", replace(other, spec=of.spec), 1, on="n2")
    assert placed(view(of, machines, there, waiting(5, of))) == {"n2": 3, "n1": 2}


def test_binpack_looks_at_the_resource_that_is_named(placed: Placed) -> None:
    of = preferring(PlacementPreference(binpack="memory"), cpus=1, memory=GIB)
    machines = [node("n1", memory_bytes=16 * GIB), node("n2", memory_bytes=4 * GIB)]
    there = task("old", of, 90, on="n2")
    assert placed(view(of, machines, there, waiting(4, of))) == {"n2": 3, "n1": 1}


def test_zones_are_spread_over_and_filled_inside(placed: Placed) -> None:
    of = preferring(over("node.labels.zone"), PlacementPreference(binpack="cpu"), cpus=1)
    machines = zoned(n1="a", n2="a", n3="b", n4="b")
    assert placed(view(of, machines, waiting(8, of))) == {"n1": 4, "n3": 4}


@pytest.mark.parametrize("descriptor", ["", "zone", "node.hostname", "node.labels."])
def test_a_spread_over_what_no_node_has_is_no_preference(placed: Placed, descriptor: str) -> None:
    of = preferring(over(descriptor), over("node.labels.zone"))
    machines = zoned(n1="a", n2="a", n3="b")
    assert placed(view(of, machines, waiting(4, of))) == {"n1": 1, "n2": 1, "n3": 2}
