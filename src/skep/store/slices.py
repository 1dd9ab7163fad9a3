"""How much is done to the store without a pause: the loop has other callers."""

from __future__ import annotations

_CHANGES = 500
"""About 10 ms of staging."""


class Slice:
    """Counts what is done without a pause. One commit is applied whole, however big it is, at about
    5 µs a change: who has thousands of changes to make makes several commits."""

    def __init__(self) -> None:
        self._done = 0

    def is_over(self, changes: int = 1) -> bool:
        """After so many changes more: whether others must have the loop now."""
        self._done += changes
        if self._done < _CHANGES:
            return False
        self._done = 0
        return True
