"""One piece of work with progress, watched by many: fifty pulls of one image are one transfer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable

from skep.model.image import Progress

_MAX_LATE_UPDATES = 64

Report = Callable[[Progress], None]
Work = Callable[[Report], Awaitable[None]]


class SharedWork:
    """Runs each key's work once at a time; whoever asks meanwhile watches the same run."""

    def __init__(self) -> None:
        self._runs: dict[Hashable, _Run] = {}

    async def watch(self, key: Hashable, work: Work) -> AsyncIterator[Progress]:
        """Lines of the run from its first one; raises what the work raises.

        The work ends early when the last watcher leaves, and never waits for a slow one.
        """
        run = self._runs.get(key)
        if run is None:
            run = self._runs[key] = _Run(work, lambda: self._runs.pop(key, None))
        async for progress in run.watch():
            yield progress

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
        self.task = asyncio.ensure_future(work(self._report))
        self.task.add_done_callback(self._finish)

    async def watch(self) -> AsyncIterator[Progress]:
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
            if not self._watchers and not self.task.done():
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

    def _finish(self, task: asyncio.Future[None]) -> None:
        self._on_end()
        if not task.cancelled():
            task.exception()  # every watcher may have left: an error nobody awaits is no news
        for queue in self._watchers:
            queue.put_nowait(None)
