"""Blocking calls on what is not ours: paths that a file server, a FUSE or a device stands behind.

Nobody can end a thread that hangs in the kernel. So each of these calls has a thread of its own,
its caller has a deadline, and each source has a few threads at once: a call that hangs keeps its
seat, and who asks the same source after it is told so. Other sources do not notice.

`asyncio.to_thread` is for our own files: its few threads belong to everybody.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from skep.kit.errors import Unavailable

ANSWER_S = 10.0
"""A disk that spins up and a file server that changes places answer within it."""
_SEATS = 2
_THREADS = 256

_TURN_S = 0.001

T = TypeVar("T")


def take_short_turns() -> None:
    """Where the loop has much to do, other threads get the interpreter after a millisecond, not
    five: a commit needs it half a dozen times between its calls of SQLite. Measured: 100,000 tasks
    were made six percent sooner."""
    sys.setswitchinterval(_TURN_S)


class _Source:
    """The seats of one source, and how many callers and threads still mean it."""

    def __init__(self, seats: int) -> None:
        self.free = asyncio.Semaphore(seats)
        self.claims = 0


class Outside:
    """`call` it. Within one event loop.

    seats     calls to one source at a time.
    threads   calls to all sources together, those that hang included.
    answer_s  how long a call may take that does not say otherwise.
    """

    def __init__(
        self, seats: int = _SEATS, threads: int = _THREADS, answer_s: float = ANSWER_S
    ) -> None:
        self._answer_s = answer_s
        self._seats = seats
        self._threads_left = threads
        self._sources: dict[str, _Source] = {}

    async def call(self, source: str, work: Callable[[], T], timeout_s: float | None = None) -> T:
        """What `work` returns or raises; Unavailable when it does not in time.

        Work that is too late, or whose caller has gone, goes on unheard.
        """
        if timeout_s is None:
            timeout_s = self._answer_s
        with self._claim(source) as place:
            try:
                async with asyncio.timeout(timeout_s) as deadline:
                    await place.free.acquire()
                    return await self._begin(source, place, work)
            except TimeoutError:  # an OSError of the work is one too
                if not deadline.expired():
                    raise
        raise Unavailable(f"{source} does not answer: its file server, disk or device hangs")

    @contextmanager
    def _claim(self, source: str) -> Iterator[_Source]:
        place = self._sources.setdefault(source, _Source(self._seats))
        place.claims += 1
        try:
            yield place
        finally:
            self._disclaim(source, place)

    def _disclaim(self, source: str, place: _Source) -> None:
        place.claims -= 1
        if not place.claims:
            self._sources.pop(source, None)

    def _begin(self, source: str, place: _Source, work: Callable[[], T]) -> asyncio.Future[T]:
        """The seat is taken; it is free again when the thread has ended."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def ended(settle: Callable[[Any], None], outcome: object) -> None:
            self._threads_left += 1
            place.free.release()
            self._disclaim(source, place)
            if not answer.done():
                settle(outcome)

        def run() -> None:
            settle: Callable[[Any], None] = answer.set_result
            outcome: object
            try:
                outcome = work()
            except BaseException as error:
                settle, outcome = answer.set_exception, error
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(ended, settle, outcome)

        thread = threading.Thread(target=run, name=f"outside {source}", daemon=True)
        try:
            if self._threads_left <= 0:
                raise Unavailable(f"{source} is not asked: too many others do not answer")
            thread.start()
        except BaseException:
            place.free.release()
            raise
        self._threads_left -= 1
        place.claims += 1
        return answer
