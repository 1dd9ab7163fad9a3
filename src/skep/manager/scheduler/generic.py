"""Generic resources: what a node has beside processors and memory (GPUs, licences, disks…).

A node declares a kind either as a number (`fpga=2`) or as names (`gpu=uuid1`, `gpu=uuid2`). A
service asks for a number of a kind; which named ones a task was given is recorded on the task.
Source: swarmkit design/generic_resources.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from skep.manager.scheduler.counts import add
from skep.model.service import (
    DiscreteGenericResource,
    GenericResource,
    NamedGenericResource,
)

Wanted = tuple[tuple[str, int], ...]
"""Kind and number, sorted by kind."""


def wanted(resources: Iterable[GenericResource]) -> Wanted:
    """How many of each kind a reservation asks for."""
    numbers: defaultdict[str, int] = defaultdict(int)
    for resource in resources:
        if resource.discrete_resource_spec is not None:
            numbers[resource.discrete_resource_spec.kind] += resource.discrete_resource_spec.value
        elif resource.named_resource_spec is not None:
            numbers[resource.named_resource_spec.kind] += 1
    return tuple(sorted((kind, number) for kind, number in numbers.items() if number > 0))


class Used:
    """What the tasks of one node hold of its generic resources."""

    __slots__ = ("discrete", "named")

    def __init__(self) -> None:
        self.discrete: dict[str, int] = {}
        self.named: dict[tuple[str, str], int] = {}

    def add(self, held: Iterable[GenericResource], sign: int) -> None:
        """Count what a task holds (`sign` 1), or no longer holds (-1)."""
        for resource in held:
            if resource.discrete_resource_spec is not None:
                spec = resource.discrete_resource_spec
                add(self.discrete, spec.kind, sign * spec.value)
            elif resource.named_resource_spec is not None:
                name = (resource.named_resource_spec.kind, resource.named_resource_spec.value)
                add(self.named, name, sign)


def claim(
    has: Iterable[GenericResource], used: Used, request: Wanted
) -> list[GenericResource] | None:
    """What a task is given of a node's resources, None when it cannot have all that it asks for."""
    declared = list(has)
    given: list[GenericResource] = []
    for kind, number in request:
        share = _claim_kind(declared, used, kind, number)
        if share is None:
            return None
        given += share
    return given


def _claim_kind(
    declared: list[GenericResource], used: Used, kind: str, number: int
) -> list[GenericResource] | None:
    names = [r.named_resource_spec for r in declared if r.named_resource_spec is not None]
    free = [spec for spec in names if spec.kind == kind and not used.named.get((kind, spec.value))]
    if len(free) >= number:
        chosen = free[:number]
        return [GenericResource(named_resource_spec=_named(kind, spec.value)) for spec in chosen]
    counts = [r.discrete_resource_spec for r in declared if r.discrete_resource_spec is not None]
    total = sum(spec.value for spec in counts if spec.kind == kind)
    if total - used.discrete.get(kind, 0) < number:
        return None
    return [
        GenericResource(discrete_resource_spec=DiscreteGenericResource(kind=kind, value=number))
    ]


def _named(kind: str, value: str) -> NamedGenericResource:
    return NamedGenericResource(kind=kind, value=value)
