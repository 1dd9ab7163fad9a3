"""What many callers use together, of which none may have so much that others have nothing."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable


class Share:
    """At most `total` for all and `each` for one; but everybody may have one."""

    def __init__(self, total: int, each: int) -> None:
        self._total = total
        self._each = each
        self.taken = 0

    def allows(self, mine: int) -> bool:
        """Whether who has `mine` may have one more."""
        return not mine or (mine < self._each and self.taken < self._total)


def part_of_files(divisor: int, at_most: int) -> int:
    """That part of the files which this process may have open, as a bound for one use of them."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return at_most if soft == resource.RLIM_INFINITY else min(at_most, soft // divisor)


class Allowance:
    """A token bucket: `burst` at once, `rate` a second in the long run."""

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._left = burst
        self._at = clock()

    def take(self) -> bool:
        return self.up_to(1) == 1

    def up_to(self, wanted: int) -> int:
        """Take as many of `wanted` as there are."""
        taken = min(wanted, max(0, int(self._refilled())))
        self._left -= taken
        return taken

    def borrow(self) -> float:
        """Take one, though there may be none; how many seconds it comes too early."""
        self._left = self._refilled() - 1
        return max(0.0, -self._left / self._rate)

    async def turn(self, look_s: float = 0.1) -> None:
        """Take one as soon as there is one, looking so often."""
        while not self.take():
            await asyncio.sleep(look_s)

    def _refilled(self) -> float:
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left
