"""Work in the background that has an owner: it is kept, it does not die silently, it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)

_PAUSE_S = 1.0
_ENDING_S = 10.0

T = TypeVar("T")
Work = Coroutine[Any, Any, None]


class Jobs:
    """The background jobs of one owner. `start` them, `close` ends them all.

    known   errors that whoever waits for a job is told of; all others are logged whole.
    """

    def __init__(self, *known: type[Exception]) -> None:
        self._known = known
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run `work` beside us. What it raises is logged under `name`."""
        job = asyncio.create_task(work, name=name)
        self._running.add(job)
        job.add_done_callback(self._ended)
        return job

    async def carry_through(self, work: Coroutine[Any, Any, T], name: str) -> T:
        """Do `work`, and go on with it when the caller is cancelled, who need not wait."""
        return await asyncio.shield(self.start(work, name))

    async def close(self, grace_s: float = 0.0) -> None:
        """Let what runs come to its end for so long; then cancel what still runs and wait until it
        has ended, whatever it starts meanwhile; what does not end is left, and said in the log."""
        if self._running and grace_s:
            await asyncio.wait(set(self._running), timeout=grace_s)
        while self._running:
            running = set(self._running)
            for job in running:
                job.cancel()
            _, stuck = await asyncio.wait(running, timeout=_ENDING_S)
            for job in stuck:
                log.error("%s does not end", job.get_name())
            self._running -= running

    def _ended(self, job: asyncio.Task[Any]) -> None:
        self._running.discard(job)
        error = None if job.cancelled() else job.exception()
        if error is not None and not isinstance(error, self._known):
            log.error("%s failed", job.get_name(), exc_info=error)


async def whole(work: Coroutine[Any, Any, T]) -> T:
    """Do `work` to its end, also for who is cancelled meanwhile: he goes when it is done."""
    doing = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.gather(doing, return_exceptions=True)
        raise


async def until_one_ends(*works: Work) -> None:
    """Run them side by side until one ends; then none runs any more, and what it raised is raised.

    Whoever is cancelled meanwhile is: a task group whose member fails in the same moment forgets it
    (its error hides the cancellation), and who waits for the end of a loop over it waits for ever.
    """
    jobs = [asyncio.ensure_future(work) for work in works]
    try:
        ended, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
    for job in ended:
        job.result()


async def forever(what: str, run: Callable[[], Work], pause_s: float = _PAUSE_S) -> None:
    """Run until cancelled; a fault is logged as `what`'s, and it is begun anew after a pause.

    For parts whose state is somewhere else (a store, a disk), so that beginning anew loses nothing.
    """
    while True:
        try:
            await run()
        except Exception:
            log.exception("%s failed and is started again", what)
        await asyncio.sleep(pause_s)
