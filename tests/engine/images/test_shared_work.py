"""One piece of work for all who ask for it, and when it ends early."""

from __future__ import annotations

import asyncio
import logging

import pytest

from skep.engine.images.broadcast import Report, SharedWork
from skep.kit.errors import NotFound
from skep.model.image import Progress


class Download:
    """Ends when `let` is set; counts how often it was begun and how often it came to its end."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = self.done = 0
        self.let = asyncio.Event()
        self._error = error

    async def __call__(self, report: Report) -> None:
        self.begun += 1
        report(Progress("begun"))
        await self.let.wait()
        if self._error:
            raise self._error
        self.done += 1


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_work_that_is_to_be_finished_goes_on_alone_and_is_joined() -> None:
    shared, download = SharedWork(), Download()
    first = asyncio.create_task(shared.finish("image", download))
    await settled()
    first.cancel()
    await asyncio.wait({first})
    again = asyncio.create_task(shared.finish("image", download))
    await settled()
    assert not again.done()
    download.let.set()
    await again
    assert (download.begun, download.done) == (1, 1)


async def test_a_watcher_that_leaves_does_not_end_what_is_to_be_finished() -> None:
    shared, download = SharedWork(), Download()
    watched = shared.watch("image", download)
    assert await anext(watched) == Progress("begun")
    finishing = asyncio.create_task(shared.finish("image", download))
    await settled()
    await watched.aclose()
    download.let.set()
    await finishing
    assert download.done == 1


async def test_work_that_is_only_watched_ends_with_its_last_watcher() -> None:
    shared, download = SharedWork(), Download()
    watched = shared.watch("image", download)
    await anext(watched)
    await watched.aclose()
    download.let.set()
    await settled()
    assert (download.begun, download.done) == (1, 0)


async def test_an_error_is_told_to_whoever_waits_and_to_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shared, download = SharedWork(), Download(NotFound("no such image"))
    gone = asyncio.create_task(shared.finish("image", download))
    waits = asyncio.create_task(shared.finish("image", download))
    await settled()
    gone.cancel()
    download.let.set()
    with pytest.raises(NotFound):
        await waits
    with caplog.at_level(logging.ERROR):
        await settled()
    assert caplog.messages == []


async def test_the_end_of_all_ends_what_was_to_be_finished() -> None:
    shared, download = SharedWork(), Download()
    waits = asyncio.create_task(shared.finish("image", download))
    await settled()
    await shared.close()
    await asyncio.wait({waits}, timeout=5)
    assert waits.cancelled()
