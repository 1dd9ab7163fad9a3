"""Generic resources: numbers and names that a node has, and which of them a task was given."""

from __future__ import annotations

from msgspec.structs import replace

from skep.manager.room import Plan
from skep.model.node import Node
from skep.model.service import (
    DiscreteGenericResource,
    GenericResource,
    NamedGenericResource,
    ResourceRequirements,
    Resources,
    Service,
    TaskSpec,
)
from skep.model.states import TaskState
from skep.model.task import Task
from skep.testing.builders import node, service, task, view, written
from tests.manager.scheduler.conftest import PlanAt, Reasons


def some(kind: str, number: int) -> GenericResource:
    return GenericResource(discrete_resource_spec=DiscreteGenericResource(kind=kind, value=number))


def named(kind: str, value: str) -> GenericResource:
    return GenericResource(named_resource_spec=NamedGenericResource(kind=kind, value=value))


def having(name: str, *resources: GenericResource) -> Node:
    bare = node(name)
    has = replace(bare.description.resources, generic_resources=list(resources))
    return replace(bare, description=replace(bare.description, resources=has))


def wanting(*resources: GenericResource) -> Service:
    wish = ResourceRequirements(reservations=Resources(generic_resources=list(resources)))
    bare = service(1)
    return replace(bare, spec=replace(bare.spec, task_template=TaskSpec(resources=wish)))


def waiting(number: int, of: Service) -> list[Task]:
    return [task(f"t{i}", of, i, on="", state=TaskState.PENDING) for i in range(1, number + 1)]


def given_to(plan: Plan) -> dict[str, list[GenericResource]]:
    return {t.id: t.assigned_generic_resources for t in written(plan, Task) if t.node_id}


def test_a_task_is_told_which_named_ones_are_its_own(plan: PlanAt) -> None:
    of = wanting(some("gpu", 1))
    machine = having("n1", named("gpu", "one"), named("gpu", "two"), named("disk", "d"))
    assert given_to(plan(view(of, machine, waiting(3, of)))) == {
        "t1": [named("gpu", "one")],
        "t2": [named("gpu", "two")],
    }


def test_numbers_are_counted_down(plan: PlanAt, reasons: Reasons) -> None:
    of = wanting(some("fpga", 2))
    seen = view(of, having("n1", some("fpga", 5)), waiting(3, of))
    assert given_to(plan(seen)) == {"t1": [some("fpga", 2)], "t2": [some("fpga", 2)]}
    assert reasons(seen) == {"t3": "no suitable node (insufficient resources on 1 node)"}


def test_what_running_tasks_hold_is_not_given_again(plan: PlanAt) -> None:
    of = wanting(some("gpu", 1))
    machine = having("n1", named("gpu", "one"), named("gpu", "two"))
    holder = task("old", of, 9, assigned_generic_resources=[named("gpu", "one")])
    dead = task(
        "dead", of, 8, state=TaskState.FAILED, assigned_generic_resources=[named("gpu", "two")]
    )
    assert given_to(plan(view(of, machine, holder, dead, waiting(2, of)))) == {
        "t1": [named("gpu", "two")]
    }


def test_a_kind_that_no_node_has_keeps_the_task_waiting(reasons: Reasons) -> None:
    of = wanting(some("gpu", 1))
    assert reasons(view(of, having("n1", some("fpga", 1)), waiting(1, of))) == {
        "t1": "no suitable node (insufficient resources on 1 node)"
    }
