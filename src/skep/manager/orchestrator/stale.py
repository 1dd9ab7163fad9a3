"""Whether a task is stale: made from a spec that its service has left behind.

Swarm's rule (swarmkit manager/orchestrator/task.go, "dirty"): the task template or the endpoint
really differs. A task whose node still meets the changed constraints is not stale when nothing
else changed; labels of the service, replicas and credentials make nothing stale.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import fields, replace

from skep.manager.constraint import matches, parse
from skep.model import defaults
from skep.model.service import EndpointSpec, Service, ServiceSpec, TaskSpec
from skep.model.task import Task
from skep.store.change import View

Difference = Literal["none", "constraints", "real"]


class Staleness:
    """Compares tasks with the service; tasks of one spec version are compared once."""

    def __init__(self, service: Service, view: View) -> None:
        self._spec = service.spec
        self._view = view
        self._known: dict[int, Difference] = {service.spec_version.index: "none"}

    def stale(self, task: Task) -> bool:
        difference = self._known.get(task.spec_version.index)
        if difference is None:
            difference = _difference(self._spec, task)
            self._known[task.spec_version.index] = difference
        if difference == "constraints":
            return not self._node_still_fits(task)
        return difference == "real"

    def _node_still_fits(self, task: Task) -> bool:
        node = self._view.node(task.node_id) if task.node_id else None
        constraints = defaults.placement(self._spec.task_template).constraints
        return node is not None and matches(parse(constraints), node)


def _difference(spec: ServiceSpec, task: Task) -> Difference:
    if _endpoint(spec.endpoint_spec) != _endpoint(task.endpoint_spec):
        return "real"
    if spec.task_template == task.spec:
        return "none"
    same_but_constraints = _unconstrained(spec.task_template) == _unconstrained(task.spec)
    return "constraints" if same_but_constraints else "real"


def _endpoint(spec: EndpointSpec | None) -> EndpointSpec:
    spec = spec or EndpointSpec()
    return replace(spec, mode=spec.mode or "vip")


def _unconstrained(spec: TaskSpec) -> TaskSpec:
    return replace(spec, placement=replace(defaults.placement(spec), constraints=[]))


def what_changed(spec: ServiceSpec, task: Task) -> str:
    """`update to image web:2`, or else which settings the update of a stale task is about."""
    new, old = defaults.container(spec.task_template), defaults.container(task.spec)
    if new.image != old.image:
        return f"to image {new.image}"
    changed = [
        *_changed(new, old),
        *(name for name in _changed(spec.task_template, task.spec) if name != "container_spec"),
    ]
    if changed == ["force_update"]:
        return "by force"
    if _endpoint(spec.endpoint_spec) != _endpoint(task.endpoint_spec):
        changed.append("endpoint")
    return "of " + ", ".join(name.replace("_", " ") for name in changed)


def _changed(new: object, old: object) -> list[str]:
    return [
        field.name
        for field in fields(new)  # type: ignore[arg-type]
        if getattr(new, field.name) != getattr(old, field.name)
    ]
