"""How much is decided at a time: a slice of some 20 ms, of new tasks 40 in all rooms that they
pass through. Then others have their turn."""

from __future__ import annotations

A_PLAN = 1_000
"""A plan that needs more changes is made in slices."""
_A_SERVICE = 10
"""However many services are planned together, each gets on."""


def share(services: int) -> int:
    """How many changes one of so many services may have in a plan."""
    return max(_A_SERVICE, A_PLAN // max(1, services))
