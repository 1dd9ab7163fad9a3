"""A task whose node no longer meets its constraints, or no longer has room, is rejected."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from skep.manager.observations import NOTHING_SEEN
from skep.manager.room import Plan
from skep.manager.scheduler import ConstraintEnforcer
from skep.model.node import Node
from skep.model.service import ResourceRequirements, Resources
from skep.model.states import TaskState
from skep.model.task import Task, TaskStatus
from skep.store.change import Event, Stored, Update
from skep.testing.builders import at, ids, node, service, task, view

EAST = service(1, constraints=["node.labels.zone==east"])
REASON = "assigned node no longer meets constraints"


def plan(*objects: Stored | Sequence[Stored]) -> Plan:
    return ConstraintEnforcer().plan(view(*objects), NOTHING_SEEN, frozenset({"n1"}), at(5), ids())


def rejected(this: Task) -> Update:
    status = TaskStatus(
        timestamp=at(5),
        state=TaskState.REJECTED,
        message="task rejected by constraint enforcer",
        err=REASON,
    )
    return Update(replace(this, status=status, applied_at=at(5)), why=REASON)


def test_a_task_leaves_a_node_that_lost_its_label() -> None:
    here = task("a", EAST)
    assert plan(EAST, node(), here).changes == (rejected(here),)
    assert plan(EAST, node(labels={"zone": "east"}), here).changes == ()


def test_the_services_constraints_of_now_count() -> None:
    here = task("a", EAST)
    free = service(1, version=2)
    assert plan(free, node(), here).changes == ()
    old = task("a", free)
    assert plan(EAST, node(), old).changes == (rejected(old),)


def test_paused_and_drained_nodes_and_tasks_that_stop_are_left_alone() -> None:
    here = task("a", EAST)
    assert plan(EAST, node(availability="pause"), here).changes == ()
    assert plan(EAST, node(availability="drain"), here).changes == ()
    assert plan(EAST, node(), task("a", EAST, desired=TaskState.SHUTDOWN)).changes == ()
    assert plan(EAST, node(), task("a", EAST, state=TaskState.FAILED)).changes == ()


def test_the_tasks_that_came_last_leave_a_node_that_shrank() -> None:
    bare = service(3)
    wish = ResourceRequirements(reservations=Resources(nano_cpus=2 * 10**9))
    template = replace(bare.spec.task_template, resources=wish)
    big = replace(bare, spec=replace(bare.spec, task_template=template))
    tasks = [task(name, big, i, born=i) for i, name in enumerate("cba")]
    assert plan(big, node(cpus=5), tasks).changes == (rejected(tasks[2]),)


def test_a_node_is_looked_at_when_it_changed_not_when_it_beats() -> None:
    room = ConstraintEnforcer()
    old = node()

    def dirty(new: Node) -> list[str]:
        return list(room.dirty(Event("node", "update", old, new), view(new)))

    assert dirty(node(labels={"a": "b"})) == ["n1"]
    assert dirty(node(cpus=1)) == ["n1"]
    assert dirty(node(message="heartbeat")) == []
