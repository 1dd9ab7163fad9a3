"""How long to wait before trying again: longer each time, never in step with others."""

from __future__ import annotations

import random


class Backoff:
    """Exponential with jitter.

    The n-th wait is drawn evenly between half of and the whole of `first_s * 2**n`, at most
    `last_s`. `chance` is given, so that a test can repeat it.
    """

    def __init__(self, first_s: float, last_s: float, chance: random.Random) -> None:
        self._first_s = first_s
        self._last_s = last_s
        self._chance = chance
        self._tries = 0

    def next_s(self) -> float:
        """The next wait in seconds."""
        whole = min(self._first_s * 2**self._tries, self._last_s)
        self._tries = min(self._tries + 1, 30)
        return self._chance.uniform(whole / 2, whole)

    def reset(self) -> None:
        """It worked: begin anew."""
        self._tries = 0
