"""What a task may use and what it reserves."""

from __future__ import annotations

from skep.kit.errors import InvalidArgument
from skep.model.rules.resources import (
    LEAST_NANO_CPUS,
    LEAST_RESERVATION_BYTES,
    check_memory,
    check_processors,
)
from skep.model.service import GenericResource, Limit, ResourceRequirements, Resources, TaskSpec


def check_resources(spec: TaskSpec) -> None:
    required = spec.resources or ResourceRequirements()
    limits, reserved = required.limits or Limit(), required.reservations or Resources()
    check_memory(limits.memory_bytes)
    check_memory(reserved.memory_bytes, LEAST_RESERVATION_BYTES)
    for amount in (limits, reserved):
        check_processors(amount.nano_cpus, LEAST_NANO_CPUS)
    if limits.pids < 0:
        raise InvalidArgument("invalid pids limit: it must not be negative")
    _check_generic(reserved.generic_resources)


def _check_generic(resources: list[GenericResource]) -> None:
    for resource in resources:
        if resource.named_resource_spec is not None:
            raise InvalidArgument(
                f"invalid generic-resource request `{resource.named_resource_spec.kind}"
                f"={resource.named_resource_spec.value}`, Named Generic Resources is not "
                "supported for service create or update: write how many of the kind"
            )
        wanted = resource.discrete_resource_spec
        if wanted is None or not wanted.kind or wanted.value < 1:
            raise InvalidArgument("a generic-resource request needs a kind and a number from 1 up")
