"""The store of a manager that follows: memory from the log, commits passed on to who writes.

Whoever has a `Store` need not know which it is. A commit returns once this manager's own view has
it, so that its caller reads what it wrote.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from skep.kit.errors import Internal, SkepError, Unavailable
from skep.store import form
from skep.store.change import Change
from skep.store.log import Compacted, Entry, Log
from skep.store.memory import MemoryView
from skep.store.slices import Slice
from skep.store.watch import Watch, Watches

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_PATIENCE_S = 30.0
_CLOSED = "the store is closed: this manager is stopping"
_ENDED = "this manager can follow the cluster's store no more (see the log): restart skep"


class Forward(Protocol):
    """The way to the manager that writes."""

    async def __call__(self, changes: Sequence[Change]) -> int:
        """As `Store.commit`: what the writer refuses is raised here. Raises Unavailable when there
        is no writer, `Unknown` when its answer was lost."""
        ...


class Replica:
    """The `Store` that reads. `start` before use, `close` after.

    When the log cannot be read the view stays as it is, and it is tried again; when commits were
    missed, all is read anew and the watchers are told that they lagged.
    """

    def __init__(self, log: Log, forward: Forward) -> None:
        self._log = log
        self._forward = forward
        self._watches = Watches()
        self._news = asyncio.Condition()
        self._following: asyncio.Task[None] | None = None
        self._ended: Internal | None = None
        self.view = MemoryView()

    async def start(self) -> None:
        """Read the log. Raises Unavailable when it cannot be read."""
        snapshot = await self._log.load()
        self.view = MemoryView(snapshot.objects, snapshot.revision)
        self._following = asyncio.create_task(self._follow(), name="store replica")

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
            self._following = None
            await self._tell_waiting()
        await self._log.close()

    def watch(self) -> Watch:
        """See `Store.watch`."""
        return self._watches.watch()

    async def commit(self, changes: Sequence[Change]) -> int:
        """See `Store.commit`. Unavailable also when the changes are stored and do not come back
        here in time; it says so."""
        if not changes:
            return self.view.revision
        self._check_following()
        revision = await self._forward(changes)
        try:
            async with asyncio.timeout(_PATIENCE_S), self._news:
                await self._news.wait_for(lambda: self._has(revision))
        except TimeoutError:
            raise Unavailable(
                f"the change is stored (as revision {revision}), but this manager has not read it "
                "yet: what it shows is old"
            ) from None
        return revision

    async def stands(self) -> None:
        """Returns when the store is closed; raises Internal when it could follow no more before."""
        if self._following is not None:
            await asyncio.wait({self._following})
            if self._ended is not None:
                raise self._ended

    def _has(self, revision: int) -> bool:
        self._check_following()
        return self.view.revision >= revision

    def _check_following(self) -> None:
        if self._following is None:
            raise Unavailable(_CLOSED)
        if self._ended is not None:
            raise Unavailable(_ENDED)

    async def _follow(self) -> None:
        try:
            while True:
                try:
                    await self._follow_on()
                except SkepError as error:
                    log.error("the cluster's store cannot be followed, trying again: %s", error)
                    await asyncio.sleep(_RETRY_S)
        except Exception as error:
            log.critical(_ENDED, exc_info=True)
            self._ended = Internal(_ENDED)
            self._ended.__cause__ = error
            await self._tell_waiting()

    async def _follow_on(self) -> None:
        try:
            async for entries in self._log.follow(self.view.revision):
                await self._apply(entries)
        except Compacted:
            log.warning("this manager fell behind: it reads the cluster's store anew")
            await self._read_anew()

    async def _apply(self, entries: Sequence[Entry]) -> None:
        """Raises ValueError for what cannot be read."""
        turn = Slice()
        for entry in entries:
            commit = form.commit(entry, self.view.get)
            self.view.apply(commit.revision, commit.events)
            self._watches.publish(commit)
            if turn.is_over(len(commit.events)):
                await asyncio.sleep(0)
        await self._tell_waiting()

    async def _read_anew(self) -> None:
        snapshot = await self._log.load()
        fresh = await asyncio.to_thread(MemoryView, snapshot.objects, snapshot.revision)
        self.view.become(fresh)
        self._watches.lag()
        await self._tell_waiting()

    async def _tell_waiting(self) -> None:
        async with self._news:
            self._news.notify_all()
