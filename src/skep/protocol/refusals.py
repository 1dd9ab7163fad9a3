"""What is said about callers that were refused: each kind once, floods as numbers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

QUIET_S = 60.0
MAX_REMEMBERED = 1_000


class Refusals:
    """Says each refusal of an address once, and after a minute how many more of it there were.

    `flush` must be called now and then. Remembers a bounded number of addresses; those beyond are
    counted together.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[tuple[str, str], tuple[float, int]] = {}
        self._unsaid = 0

    def say(self, address: str, reason: str, detail: str = "") -> None:
        """`reason` is one of few sentences of ours; `detail` may differ from call to call."""
        key = (address, reason)
        if key in self._said:
            said_at, more = self._said[key]
            self._said[key] = (said_at, more + 1)
        elif len(self._said) < MAX_REMEMBERED:
            self._said[key] = (self._clock(), 0)
            log.warning("refused %s: %s%s", address, reason, f": {detail}" if detail else "")
        else:
            self._unsaid += 1

    def flush(self) -> None:
        """Say what was counted for a minute, and begin to count anew."""
        now = self._clock()
        ripe = [key for key, (said_at, _) in self._said.items() if now - said_at >= QUIET_S]
        for key in ripe:
            _, more = self._said.pop(key)
            if more:
                log.warning("refused %s %d times more within a minute: %s", key[0], more, key[1])
        if self._unsaid and ripe:
            log.warning("refused %d calls of many other addresses", self._unsaid)
            self._unsaid = 0
