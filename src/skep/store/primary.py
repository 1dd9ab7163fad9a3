"""The store: one writer, one watch, reads that never leave memory.

A commit is checked against the newest state, written to the log, applied to memory and published,
in that order, so nothing that a watcher or a caller ever saw can be lost. Commits that wait while
the log is busy go to it together, as one batch.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

from skep.kit.clock import ZERO_TIME, utc_now
from skep.kit.errors import Internal, SkepError, Unavailable
from skep.store.change import Change, Commit
from skep.store.log import Log
from skep.store.memory import MemoryView
from skep.store.staging import Staged
from skep.store.watch import Watch

log = logging.getLogger(__name__)

_MAX_BATCH = 1_000
_MAX_WAITING = 10_000
_WRITER_ENDED = "the store's writer failed (see the log): restart skep, nothing stored is lost"


class _Waiting:
    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()


class Primary:
    """Versioned objects with one commit and one watch. `start` before use, `close` after."""

    def __init__(self, log: Log, clock: Callable[[], datetime] = utc_now) -> None:
        self._log = log
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._news = asyncio.Event()
        self._watches: set[Watch] = set()
        self._writer: asyncio.Task[None] | None = None
        self.view = MemoryView()

    async def start(self) -> None:
        snapshot = await self._log.load()
        self.view = MemoryView(snapshot.objects, snapshot.revision)
        self._writer = asyncio.create_task(self._write(), name="store writer")

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
            self._writer = None
        self._refuse_waiting(Unavailable("the store is closed: this manager is stopping"))
        await self._log.close()

    def newest_stamp(self) -> datetime:
        """When anything was last written, as its writer's clock said."""
        return max((stored.updated_at for stored in self.view.all()), default=ZERO_TIME)

    def watch(self) -> Watch:
        """Commits from now on. The view and the watch have no gap between them."""
        watch = Watch(self._watches.discard)
        self._watches.add(watch)
        return watch

    async def commit(self, changes: Sequence[Change]) -> int:
        """Apply all the changes or none; returns the revision once it is durable.

        Raises OutOfSequence when an object changed since it was read, Conflict when a name or id
        is taken, InvalidArgument when an object cannot be kept, Unavailable when the log cannot be
        written or too many commits wait.
        """
        if not changes:
            return self.view.revision
        if self._writer is None:
            raise Unavailable("the store is closed: this manager is stopping")
        if self._writer.done():
            raise Unavailable(_WRITER_ENDED)
        if len(self._waiting) >= _MAX_WAITING:
            raise Unavailable("the manager is overloaded: too many changes wait; try again")
        waiting = _Waiting(changes)
        self._waiting.append(waiting)
        self._news.set()
        return await asyncio.shield(waiting.done)

    async def stands(self) -> None:
        """Returns when the store is closed; raises Internal when its writer ended before that."""
        if self._writer is not None:
            writer = self._writer
            await asyncio.wait({writer})
            if not writer.cancelled():
                raise Internal(_WRITER_ENDED) from writer.exception()

    async def _write(self) -> None:
        """What goes wrong with one batch fails its callers and nobody else; only when memory is no
        longer what the log holds, nothing more may be written."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._waiting:
                    await self._write_batch()
        except Exception:
            log.critical(_WRITER_ENDED, exc_info=True)
            self._refuse_waiting(Unavailable(_WRITER_ENDED))
            raise

    async def _write_batch(self) -> None:
        staged = Staged(self.view, self._clock())
        accepted: list[tuple[_Waiting, Commit]] = []
        while self._waiting and len(accepted) < _MAX_BATCH:
            waiting = self._waiting.popleft()
            try:
                accepted.append((waiting, staged.check(waiting.changes)))
            except SkepError as error:
                _fail(waiting, error)
            except Exception as error:
                log.exception("a commit cannot be checked")
                _fail(waiting, Internal(f"internal error: {error}"))
        if accepted:
            await self._persist(staged, accepted)

    async def _persist(self, staged: Staged, accepted: Sequence[tuple[_Waiting, Commit]]) -> None:
        try:
            await self._log.append(staged.revision, staged.records())
        except SkepError as error:
            _fail_all(accepted, error)
        except Exception as error:
            log.exception("%d commits cannot be written", len(accepted))
            _fail_all(accepted, Internal(f"internal error: {error}"))
        except BaseException:
            _fail_all(accepted, Unavailable("the store was closed while it wrote"))
            raise
        else:
            self._publish(accepted)

    def _publish(self, accepted: Sequence[tuple[_Waiting, Commit]]) -> None:
        try:
            for waiting, commit in accepted:
                self.view.apply(commit.revision, commit.events)
                for watch in self._watches:
                    watch.publish(commit)
                if not waiting.done.done():
                    waiting.done.set_result(commit.revision)
        except Exception:
            _fail_all(accepted, Unavailable(_WRITER_ENDED))
            raise

    def _refuse_waiting(self, error: SkepError) -> None:
        while self._waiting:
            _fail(self._waiting.popleft(), error)


def _fail(waiting: _Waiting, error: SkepError) -> None:
    if not waiting.done.done():
        waiting.done.set_exception(error)
        waiting.done.exception()  # a caller that went away must not leave a warning behind


def _fail_all(accepted: Sequence[tuple[_Waiting, Commit]], error: SkepError) -> None:
    for waiting, _ in accepted:
        _fail(waiting, error)
