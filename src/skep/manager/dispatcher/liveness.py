"""Who is lost: heartbeats, how often, and what their absence means. Times in seconds.

Swarm asks for a heartbeat each 5 s and gives up after three. Here they are frequent while the
cluster is small and stretch with it, so that they cost the manager at most a twentieth of a core; a
loss is noticed within 3 s in clusters up to 1,000 nodes. With each heartbeat an agent says within
which time it speaks again, so that a change of the period condemns nobody who has not yet heard of
it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache

from skep.kit.clock import NS_PER_S
from skep.protocol.messages import LONGEST_SILENCE_S

SHORTEST_PERIOD_NS = NS_PER_S // 2
LONGEST_PERIOD_NS = round(LONGEST_SILENCE_S) * NS_PER_S
"""Of the period that may be configured. What an older skep took beyond that counts as the bound."""
_COST_S = 66e-6
"""Processor time of a heartbeat over TLS, and a little more than was measured with 1,000 agents on
a virtual core (`make bench`; `kit/patience.py` says how it came to be so little)."""
_COST_BESIDE_OTHERS_S = 110e-6
"""The same while other programs use the core too: most of it is waiting for memory (10 µs when all
is in the caches). Counts for nodes beyond the first thousand, whose loss must be noticed soon."""
_SOON_NOTICED = 1_000
_SHARE_OF_CORE = 0.05
_SHORTEST_S = 0.9
_SHORTEST_GRACE_S = 2.7
_MISSED = 2.05
_MISSED_CONFIGURED = 3.0
_LATEST_S = 6.0
"""No heartbeat is later than that on a line that still carries anything."""
_LONGEST_STEP_S = 0.5
_RETURNING_S = 5.0
_LONGEST_RETURN_S = 300.0
"""Thousands of agents that come back at once do so one after the other: while one does in so many
seconds, the others are waited for, up to so long."""
NEW_LEADER_FACTOR = 2.0
"""After a start nobody was heard yet: agents get this many times the grace to find us."""


def heartbeat_s(nodes: int, configured_ns: int) -> float:
    """How often an agent must speak. `configured_ns` (swarm update --dispatcher-heartbeat) wins."""
    if configured_ns:
        return min(max(configured_ns, SHORTEST_PERIOD_NS), LONGEST_PERIOD_NS) / NS_PER_S
    others = max(0, nodes - _SOON_NOTICED)
    cost_s = (nodes - others) * _COST_S + others * _COST_BESIDE_OTHERS_S
    return max(_SHORTEST_S, cost_s / _SHARE_OF_CORE)


@lru_cache(maxsize=64)
def grace_s(period_s: float, configured_ns: int) -> float:
    """Silence for longer than this, after a promise to speak each `period_s`, is a loss."""
    if configured_ns:
        return _MISSED_CONFIGURED * period_s
    return max(_SHORTEST_GRACE_S, min(_MISSED * period_s, period_s + _LATEST_S))


class WakingClock:
    """Monotonic seconds in which this process could have heard something.

    A manager whose machine was suspended, or that was stopped, must not take its own sleep for the
    silence of others: between two looks at the clock at most `_LONGEST_STEP_S` counts. So it must
    be looked at more often than that.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()
        self._awake_s = 0.0

    def now(self) -> float:
        at = self._clock()
        self._awake_s += min(at - self._at, _LONGEST_STEP_S)
        self._at = at
        return self._awake_s


class Heartbeats:
    """Until when each node may be silent."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = WakingClock(clock)
        self._until: dict[str, float] = {}
        self._unheard: set[str] = set()
        self._returning_until = 0.0

    def __len__(self) -> int:
        return len(self._until)

    def heard(self, node_id: str, grace_s: float) -> None:
        """The node lives, and may be silent for so long."""
        now = self._clock.now()
        self._until[node_id] = now + grace_s
        if node_id in self._unheard:
            self._unheard.discard(node_id)
            self._returning_until = now + _RETURNING_S

    def expect(self, node_id: str, patience_s: float) -> None:
        """The node was not heard yet; it may take so long, or as long as was said before."""
        if node_id not in self._until:
            self._until[node_id] = self._clock.now() + patience_s
            self._unheard.add(node_id)

    def forget(self, node_id: str) -> None:
        self._until.pop(node_id, None)
        self._unheard.discard(node_id)

    def lost(self) -> list[str]:
        """Ids of the nodes that were silent for too long, sorted. Ask at least twice a second."""
        now = self._clock.now()
        silent = (node_id for node_id, until in self._until.items() if until < now)
        return sorted(node_id for node_id in silent if not self._may_return(node_id, now))

    def _may_return(self, node_id: str, now: float) -> bool:
        late_s = now - self._until[node_id]
        waiting = node_id in self._unheard and now < self._returning_until
        return waiting and late_s < _LONGEST_RETURN_S
