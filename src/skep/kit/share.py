"""What many callers use together, of which none may have so much that others have nothing."""

from __future__ import annotations

import resource


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


class Pace:
    """So many a second in the long run, and `burst` at once."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._step_s = 1 / per_s
        self._slack_s = burst / per_s
        self._due = 0.0

    def take(self, now: float) -> float:
        """One more, at the monotonic time `now`; how many seconds it comes too early."""
        self._due = max(self._due, now - self._slack_s) + self._step_s
        return max(0.0, self._due - now)
