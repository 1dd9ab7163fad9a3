"""Learning of a process's end from its conmon: a pidfd in the event loop, then the exit file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime

from skep.runtime.door import Exit
from skep.runtime.places import LOST_CODE, Place
from skep.runtime.processes import is_conmon_of


class ConmonWatch:
    """One process that a conmon watches (a container's or an exec's).

    `ended` is settled once, when conmon is gone; `at_end` runs just before with the answer. A
    conmon that is gone already counts as ending now.
    """

    __slots__ = ("_at_end", "_pidfd", "_place", "conmon_pid", "ended", "pid")

    def __init__(self, place: Place, at_end: Callable[[Exit], Exit]) -> None:
        loop = asyncio.get_running_loop()
        self.pid = place.pid()
        self.conmon_pid = place.conmon_pid()
        self.ended: asyncio.Future[Exit] = loop.create_future()
        self._place = place
        self._at_end = at_end
        self._pidfd = _open_conmon(self.conmon_pid, place.container_id)
        if self._pidfd < 0:
            self._end()
        else:
            loop.add_reader(self._pidfd, self._end)

    async def wait(self) -> Exit:
        """Many may wait, and any of them may be cancelled."""
        return await asyncio.shield(self.ended)

    def release(self) -> None:
        """Stop watching. Who waits gets the answer if there is one, and is cancelled if not."""
        if self.ended.done():
            return
        if is_conmon_of(self.conmon_pid, self._place.container_id):
            self._close()
            self.ended.cancel()
        else:
            self._end()

    def _end(self) -> None:
        self._close()
        seen = self._place.exit()
        lost = Exit(code=LOST_CODE, finished_at=datetime.now(UTC), lost=True)
        self.ended.set_result(self._at_end(seen or lost))

    def _close(self) -> None:
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1


def _open_conmon(pid: int, container_id: str) -> int:
    """A pidfd of a living conmon, or -1. It is opened first: the check is then about the same."""
    try:
        pidfd = os.pidfd_open(pid) if pid else -1
    except ProcessLookupError:
        return -1
    if pidfd >= 0 and not is_conmon_of(pid, container_id):
        os.close(pidfd)
        return -1
    return pidfd
