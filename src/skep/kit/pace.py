"""Turns for many who each have a little to do, so that together they leave others the loop."""

from __future__ import annotations

import asyncio
from collections import deque


class Pacer:
    """So many have their turn at once, then the next after a moment, in the order they came.

    The moment begins when those before have begun: where the loop is busy it is longer, and who
    gathers until its turn has more to do at once. Where few come, nobody waits.
    """

    def __init__(self, at_once: int, moment_s: float) -> None:
        self._at_once = self._left = at_once
        self._moment_s = moment_s
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_moment = False

    def next(self) -> asyncio.Future[None]:
        """Done when it is the caller's turn, who may also set it: then it waits no longer."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._let_in()
        return turn

    def _let_in(self) -> None:
        while self._waiting and self._left:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._left -= 1
        if not self._is_moment and self._left < self._at_once:
            self._is_moment = True
            asyncio.get_running_loop().call_later(self._moment_s, self._over)

    def _over(self) -> None:
        self._is_moment = False
        self._left = self._at_once
        self._let_in()
