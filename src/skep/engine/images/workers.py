"""Threads for long file work, so that it does not use up those that container starts need."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_THREADS = 4


class Workers:
    """A few threads; what runs in them is over when `run` is over, cancelled or not."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "images")

    async def run(self, work: Callable[[], T], abandoned: threading.Event | None = None) -> T:
        """Do blocking work in a thread.

        When the caller is cancelled, `abandoned` is set, for work that looks at it, and the work is
        waited for: nobody tidies up under a thread that still writes.
        """
        job = self._threads.submit(work)
        result = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(result)
        except asyncio.CancelledError:
            if abandoned:
                abandoned.set()
            if not job.cancel():  # it was begun
                await asyncio.wait([result])
                result.exception()  # nobody is left to hear it
            raise

    def close(self) -> None:
        """Let the threads end; work that was not begun is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
