"""The store: one writer, one watch, reads that never leave memory.

A commit is checked against the newest state, written to the log, applied to memory and published,
in that order, so nothing that a watcher or a caller ever saw can be lost. Commits that wait while
the log is busy go to it together, as one batch.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from skep.kit.clock import utc_now
from skep.kit.errors import Conflict, Internal, OutOfSequence, SkepError, Unavailable
from skep.model.base import Version
from skep.model.network import Network
from skep.model.service import Service
from skep.store.change import KIND_OF, Change, Commit, Create, Delete, Event, Stored
from skep.store.form import encode
from skep.store.log import Log, Record
from skep.store.memory import MemoryView
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
        staged = _Staged(self.view, self._clock())
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

    async def _persist(self, staged: _Staged, accepted: Sequence[tuple[_Waiting, Commit]]) -> None:
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


class _Staged:
    """The state as it will be after the commits accepted so far in this batch."""

    def __init__(self, view: MemoryView, now: datetime) -> None:
        self._view = view
        self._now = now
        self.revision = view.revision
        self._objects: dict[tuple[str, str], Stored | None] = {}
        self._bodies: dict[tuple[str, str], bytes | None] = {}
        self._owners: dict[tuple[str, str], str | None] = {}

    def check(self, changes: Sequence[Change]) -> Commit:
        """The commit that these changes make; a refusal leaves the stage untouched.

        Objects are encoded here, so that one that cannot be kept is refused to its own caller.
        """
        revision = self.revision + 1
        objects: dict[tuple[str, str], Stored | None] = {}
        bodies: dict[tuple[str, str], bytes | None] = {}
        owners: dict[tuple[str, str], str | None] = {}
        events = []
        for change in changes:
            event = self._event(change, revision, objects)
            self._rename(event, owners)
            stored = event.new or event.old
            assert stored is not None
            key = (event.kind, stored.id)
            objects[key] = event.new
            bodies[key] = encode(event.kind, event.new) if event.new is not None else None
            events.append(event)
        self._objects.update(objects)
        self._bodies.update(bodies)
        self._owners.update(owners)
        self.revision = revision
        return Commit(revision, tuple(events))

    def records(self) -> list[Record]:
        """The newest of every object that the accepted commits change."""
        return [Record(kind, object_id, body) for (kind, object_id), body in self._bodies.items()]

    def _event(
        self, change: Change, revision: int, pending: Mapping[tuple[str, str], Stored | None]
    ) -> Event:
        wanted = change.old if isinstance(change, Delete) else change.new
        kind = KIND_OF[type(wanted)]
        key = (kind, wanted.id)
        layer = next((layer for layer in (pending, self._objects) if key in layer), None)
        old = layer[key] if layer is not None else self._view.get(kind, wanted.id)
        if isinstance(change, Create):
            if old is not None:
                raise Conflict(f"{kind} {wanted.id} already exists")
            born = self._stamped(change.new, revision, self._now)
            return Event(kind, "create", None, born, change.why)
        if old is None or old.version != wanted.version:
            raise OutOfSequence()
        if isinstance(change, Delete):
            return Event(kind, "remove", old, None, change.why)
        changed = self._stamped(change.new, revision, old.created_at)
        return Event(kind, "update", old, changed, change.why)

    def _stamped(self, new: Stored, revision: int, created_at: datetime) -> Stored:
        return msgspec.structs.replace(
            new, version=Version(revision), created_at=created_at, updated_at=self._now
        )

    def _rename(self, event: Event, pending: dict[tuple[str, str], str | None]) -> None:
        """Names of services and of networks are unique among their kind."""
        old_name, new_name = _unique_name(event.old), _unique_name(event.new)
        if old_name == new_name:
            return
        if old_name is not None:
            pending[event.kind, old_name] = None
        if new_name is not None and event.new is not None:
            if self._owner(event.kind, new_name, pending) is not None:
                raise Conflict(
                    "rpc error: code = AlreadyExists desc = name conflicts with an existing "
                    f"object: {event.kind} {new_name} already exists"
                )
            pending[event.kind, new_name] = event.new.id

    def _owner(
        self, kind: str, name: str, pending: Mapping[tuple[str, str], str | None]
    ) -> str | None:
        for layer in (pending, self._owners):
            if (kind, name) in layer:
                return layer[kind, name]
        view = self._view
        found = view.service_named(name) if kind == "service" else view.network_named(name)
        return found.id if found is not None else None


def _unique_name(stored: Stored | None) -> str | None:
    return stored.spec.name if isinstance(stored, Service | Network) else None
