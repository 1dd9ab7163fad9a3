"""One piece of work with progress, watched by many: fifty pulls of one image are one transfer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable
from contextlib import aclosing
from typing import Any

from skep.model.image import Progress

_MAX_LATE_UPDATES = 64

Report = Callable[[Progress], None]
Work = Callable[[Report], Coroutine[Any, Any, None]]


class SharedWork:
    """Runs each key's work once at a time; whoever asks meanwhile watches the same run."""

    def __init__(self) -> None:
        self._runs: dict[Hashable, _Run] = {}

    async def watch(self, key: Hashable, work: Work) -> AsyncGenerator[Progress, None]:
        """Lines of the run from its first one; raises what the work raises.

        The work ends early when the last watcher leaves, and never waits for a slow one.
        """
        async with aclosing(self._run(key, work).watch()) as lines:
            async for progress in lines:
                yield progress

    async def finish(self, key: Hashable, work: Work) -> None:
        """Return when the run has ended; raises what the work raises. Whoever leaves meanwhile,
        the work is done to its end."""
        run = self._run(key, work)
        run.goes_on = True
        await asyncio.shield(run.task)

    def _run(self, key: Hashable, work: Work) -> _Run:
        run = self._runs.get(key)
        if run is None:
            run = self._runs[key] = _Run(work, lambda: self._runs.pop(key, None))
        return run

    async def close(self) -> None:
        """End every run."""
        tasks = [run.task for run in self._runs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Run:
    def __init__(self, work: Work, on_end: Callable[[], object]) -> None:
        self._lines: list[Progress] = []
        self._watchers: set[asyncio.Queue[Progress | None]] = set()
        self._on_end = on_end
        self.goes_on = False
        """Also when nobody watches."""
        self.task = asyncio.create_task(work(self._report), name="shared-work")
        self.task.add_done_callback(self._finish)

    async def watch(self) -> AsyncGenerator[Progress, None]:
        queue: asyncio.Queue[Progress | None] = asyncio.Queue()
        for line in self._lines:
            queue.put_nowait(line)
        self._watchers.add(queue)
        try:
            while progress := await queue.get():
                yield progress
            await self.task
        finally:
            self._watchers.discard(queue)
            if not (self._watchers or self.goes_on or self.task.done()):
                self._on_end()
                self.task.cancel()
                await asyncio.wait([self.task])

    def _report(self, progress: Progress) -> None:
        """Lines are kept for latecomers (there are a few for each layer), byte counts are not."""
        if progress.detail is None:
            self._lines.append(progress)
        for queue in self._watchers:
            if progress.detail is None or queue.qsize() < _MAX_LATE_UPDATES:
                queue.put_nowait(progress)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._on_end()
        if not task.cancelled():
            task.exception()  # every watcher may have left: an error nobody awaits is no news
        for queue in self._watchers:
            queue.put_nowait(None)
