"""What a container may use, and what is set aside for it."""

from __future__ import annotations

from skep.kit.clock import NS_PER_S
from skep.model.rules import Broken

_MIB = 1024 * 1024
LEAST_LIMIT_BYTES = 6 * _MIB
"""runc does not start in less (source: moby daemon, linuxMinMemory)."""
LEAST_RESERVATION_BYTES = 4 * _MIB
"""Of a service's task (source: swarmkit controlapi, validateResources)."""
LEAST_NANO_CPUS = NS_PER_S // 1000
"""Of a service's task (the same). It is the least that the kernel can measure, too."""


def check_memory(amount_bytes: int, least_bytes: int = LEAST_LIMIT_BYTES) -> None:
    """0 = nothing said."""
    if amount_bytes and amount_bytes < least_bytes:
        least_mib = least_bytes // _MIB
        raise Broken(
            "memory",
            f"Minimum memory limit allowed is {least_mib}MB",
            amount=amount_bytes,
            least=f"{least_mib}MiB",
        )


def check_processors(nano_cpus: int, least_nano_cpus: int = 1) -> None:
    """0 = nothing said. For a container docker leaves it to the kernel how little can be had."""
    if nano_cpus and nano_cpus < least_nano_cpus:
        raise Broken(
            "processors",
            f"NanoCpus must be at least {least_nano_cpus}",
            amount=f"{nano_cpus / NS_PER_S:g}",
            least=f"{least_nano_cpus / NS_PER_S:g}",
        )
