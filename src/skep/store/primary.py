"""The store of the manager that leads: one writer, one watch, reads that never leave memory.

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
from skep.store.log import Fenced, Log, Unknown
from skep.store.memory import MemoryView
from skep.store.slices import Slice
from skep.store.staging import Draft, Staged
from skep.store.watch import Watch, Watches

log = logging.getLogger(__name__)

_MAX_BATCH, _MAX_BATCH_CHANGES = 1_000, 10_000
_MAX_WAITING = 10_000

_CLOSED = "the store is closed: this manager is stopping"
_WRITER_ENDED = "the store's writer failed (see the log): restart skep, nothing stored is lost"
_UNKNOWN = "the change may or may not be stored: {}. Look whether it is there before you try again"


class _Waiting:
    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def fail(self, error: SkepError) -> None:
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # a caller that went away must not leave a warning behind


class Primary:
    """The `Store` that writes. `start` before use, `close` after.

    It ends when it can no longer know what the log holds: another manager took over, an answer was
    lost, memory is broken. Whoever owns it learns that from `stands` and must make a new one.
    """

    def __init__(self, log: Log, clock: Callable[[], datetime] = utc_now) -> None:
        self._log = log
        self._clock = clock
        self._epoch = 0
        self._waiting: deque[_Waiting] = deque()
        self._news = asyncio.Event()
        self._watches = Watches()
        self._writer: asyncio.Task[None] | None = None
        self._ended: SkepError | None = None
        self._slice = Slice()
        self.view = MemoryView()

    async def start(self) -> None:
        """Take the log over and read it. Raises Unavailable when it cannot be used."""
        self._epoch = await self._log.lead()
        snapshot = await self._log.load()
        self.view = MemoryView(snapshot.objects, snapshot.revision)
        self._writer = asyncio.create_task(self._write(), name="store writer")

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
            self._writer = None
        self._refuse_waiting(Unavailable(_CLOSED))
        await self._log.close()

    def newest_stamp(self) -> datetime:
        """When anything was last written, as its writer's clock said."""
        return max((stored.updated_at for stored in self.view.all()), default=ZERO_TIME)

    def watch(self) -> Watch:
        """Commits from now on. The view and the watch have no gap between them."""
        return self._watches.watch()

    async def commit(self, changes: Sequence[Change]) -> int:
        """See `Store.commit`. Unavailable also when too many commits wait; Unknown when nobody can
        say whether the changes were stored."""
        if not changes:
            return self.view.revision
        if self._writer is None:
            raise Unavailable(_CLOSED)
        if self._ended is not None:
            raise Unavailable(str(self._ended))
        if len(self._waiting) >= _MAX_WAITING:
            raise Unavailable("the manager is overloaded: too many changes wait; try again")
        waiting = _Waiting(changes)
        self._waiting.append(waiting)
        self._news.set()
        return await asyncio.shield(waiting.done)

    async def stands(self) -> None:
        """Returns when the store is closed; raises what ended its writer before that."""
        if self._writer is not None:
            await asyncio.wait({self._writer})
            if self._ended is not None:
                raise self._ended

    async def _write(self) -> None:
        """What goes wrong with one batch fails its callers and nobody else; only when memory is no
        longer what the log holds, nothing more may be written."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._waiting:
                    await self._write_batch()
        except (Fenced, Unknown) as error:
            log.critical("this manager writes no more: %s", error)
            self._end(error)
        except Exception as error:
            log.critical(_WRITER_ENDED, exc_info=True)
            self._end(Internal(_WRITER_ENDED), error)

    def _end(self, why: SkepError, cause: Exception | None = None) -> None:
        why.__cause__ = cause or why.__cause__
        self._ended = why
        self._refuse_waiting(Unavailable(str(why)))

    async def _write_batch(self) -> None:
        staged = Staged(self.view, self._clock())
        accepted: list[tuple[_Waiting, Commit]] = []
        size = 0
        while self._waiting and len(accepted) < _MAX_BATCH and size < _MAX_BATCH_CHANGES:
            waiting = self._waiting.popleft()
            try:
                accepted.append((waiting, await self._check(staged, waiting.changes)))
                size += len(waiting.changes)
            except SkepError as error:
                waiting.fail(error)
            except Exception as error:
                log.exception("a commit cannot be checked")
                waiting.fail(Internal(f"internal error: {error}"))
            except BaseException:
                _fail(accepted, Unavailable(_CLOSED))
                waiting.fail(Unavailable(_CLOSED))
                raise
        if accepted:
            await self._persist(staged, accepted)

    async def _check(self, staged: Staged, changes: Sequence[Change]) -> Commit:
        draft = Draft(staged)
        for change in changes:
            draft.add(change)
            if self._slice.is_over():
                await asyncio.sleep(0)
        return staged.accept(draft)

    async def _persist(self, staged: Staged, accepted: Sequence[tuple[_Waiting, Commit]]) -> None:
        try:
            await self._log.append(self._epoch, staged.entries)
        except Unknown as error:
            _fail(accepted, Unknown(_UNKNOWN.format(error)))
            raise
        except Fenced as error:
            _fail(accepted, error)
            raise
        except SkepError as error:
            _fail(accepted, error)
        except Exception as error:
            log.exception("%d commits cannot be written", len(accepted))
            _fail(accepted, Internal(f"internal error: {error}"))
        except BaseException:
            _fail(accepted, Unknown(_UNKNOWN.format("the store was closed while it wrote")))
            raise
        else:
            await self._publish(accepted)

    async def _publish(self, accepted: Sequence[tuple[_Waiting, Commit]]) -> None:
        try:
            for waiting, commit in accepted:
                self.view.apply(commit.revision, commit.events)
                self._watches.publish(commit)
                if not waiting.done.done():
                    waiting.done.set_result(commit.revision)
                if self._slice.is_over(len(commit.events)):
                    await asyncio.sleep(0)
        except Exception:
            _fail(accepted, Unavailable(_WRITER_ENDED))
            raise
        except BaseException:
            _fail(accepted, Unknown(_UNKNOWN.format("the store was closed while it wrote")))
            raise

    def _refuse_waiting(self, error: SkepError) -> None:
        while self._waiting:
            self._waiting.popleft().fail(error)


def _fail(accepted: Sequence[tuple[_Waiting, Commit]], error: SkepError) -> None:
    for waiting, _ in accepted:
        waiting.fail(error)
