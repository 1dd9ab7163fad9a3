"""What a task may use and what it reserves."""

from __future__ import annotations

from skep.kit.clock import NS_PER_S
from skep.kit.errors import InvalidArgument
from skep.model.service import GenericResource, Limit, ResourceRequirements, Resources, TaskSpec

_LEAST_NANO_CPUS = NS_PER_S // 1000
_LEAST_MEMORY_BYTES = 4 * 1024 * 1024


def check_resources(spec: TaskSpec) -> None:
    required = spec.resources or ResourceRequirements()
    for amount in (required.limits or Limit(), required.reservations or Resources()):
        _check_amount(amount.nano_cpus, amount.memory_bytes)
    if required.limits is not None and required.limits.pids < 0:
        raise InvalidArgument("invalid pids limit: it must not be negative")
    if required.reservations is not None:
        _check_generic(required.reservations.generic_resources)


def _check_amount(nano_cpus: int, memory_bytes: int) -> None:
    if nano_cpus and nano_cpus < _LEAST_NANO_CPUS:
        raise InvalidArgument(
            f"invalid cpu value {nano_cpus / NS_PER_S:g}: Must be at least "
            f"{_LEAST_NANO_CPUS / NS_PER_S:g}"
        )
    if memory_bytes and memory_bytes < _LEAST_MEMORY_BYTES:
        raise InvalidArgument(f"invalid memory value {memory_bytes}: Must be at least 4MiB")


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
