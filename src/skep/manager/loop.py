"""The one loop that drives every deciding room: look, plan, commit, look again if refused."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from skep.kit.clock import SteadyClock
from skep.kit.errors import Conflict, OutOfSequence, SkepError, Unavailable
from skep.kit.ids import new_id
from skep.manager.faults import Troubles
from skep.manager.room import NewId, Room
from skep.store.change import Commit
from skep.store.store import Store
from skep.store.watch import Lagged, Watch

log = logging.getLogger(__name__)

_RETRY = timedelta(seconds=1)


class Agenda:
    """What one room has to look at: dirty keys, and keys that become dirty at a time."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.dirty: set[str] = set()
        self.troubles = Troubles(room.name)
        self._wake_at: dict[str, datetime] = {}
        self._queue: list[tuple[datetime, str]] = []

    def take(self, now: datetime) -> frozenset[str]:
        """All keys that are due. They are forgotten here: the caller promises to plan them."""
        while self._queue and self._queue[0][0] <= now:
            moment, key = heapq.heappop(self._queue)
            if self._wake_at.get(key) == moment:
                del self._wake_at[key]
                self.dirty.add(key)
        keys = frozenset(self.dirty)
        self.dirty.clear()
        for key in keys:
            self._wake_at.pop(key, None)
        return keys

    def put_back(self, keys: frozenset[str]) -> None:
        self.dirty |= keys

    def wake(self, moments: Mapping[str, datetime]) -> None:
        """Remember when to look again. The newest word on a key is the one that counts."""
        for key, moment in moments.items():
            self._wake_at[key] = moment
            heapq.heappush(self._queue, (moment, key))

    @property
    def next_wake(self) -> datetime | None:
        while self._queue and self._wake_at.get(self._queue[0][1]) != self._queue[0][0]:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None


def keys_at(keys: Iterable[str], moment: datetime) -> dict[str, datetime]:
    """Every key, to be looked at again at `moment`."""
    return dict.fromkeys(keys, moment)


class Loop:
    """Drives rooms over a store until cancelled. Rooms are planned in the order given, each to its
    own commit, so that what one decides is there for the next in the same round."""

    def __init__(
        self,
        store: Store,
        rooms: Sequence[Room],
        clock: Callable[[], datetime] | None = None,
        ids: NewId = new_id,
    ) -> None:
        self._store = store
        self._agendas = [Agenda(room) for room in rooms]
        self._clock = clock or SteadyClock()
        self._ids = ids

    async def run(self) -> None:
        watch = self._watch_everything()
        try:
            while True:
                try:
                    await self._round(watch)
                    await self._rest(watch)
                except Lagged:
                    watch.close()
                    watch = self._watch_everything()
        finally:
            watch.close()

    def _watch_everything(self) -> Watch:
        watch = self._store.watch()
        for agenda in self._agendas:
            agenda.dirty |= set(agenda.room.everything(self._store.view))
        return watch

    async def _round(self, watch: Watch) -> None:
        for agenda in self._agendas:
            self._note(watch)
            keys = agenda.take(self._clock())
            troubled = frozenset(key for key in keys if key in agenda.troubles)
            if keys - troubled:
                await self._plan(agenda, keys - troubled)
            for key in sorted(troubled):
                await self._plan(agenda, frozenset({key}))

    async def _plan(self, agenda: Agenda, keys: frozenset[str]) -> None:
        now = self._clock()
        try:
            plan = agenda.room.plan(self._store.view, keys, now, self._ids)
        except Exception as error:
            await self._isolate(agenda, keys, error)
            return
        for explanation in plan.explanations:
            log.info("%s: %s", agenda.room.name, explanation)
        try:
            await self._store.commit(plan.changes)
        except (OutOfSequence, Conflict):
            agenda.put_back(keys)
        except Unavailable as error:
            log.error("%s could not commit, trying again: %s", agenda.room.name, error)
            agenda.wake(keys_at(keys, now + _RETRY))
        except SkepError as error:
            await self._isolate(agenda, keys, error)
        else:
            retry = agenda.troubles.planned(keys, plan.faults)
            agenda.wake(plan.wake if retry is None else keys_at(keys, now + retry))

    async def _isolate(self, agenda: Agenda, keys: frozenset[str], error: Exception) -> None:
        """A key that cannot be planned must not hold up the others: plan each by itself."""
        if len(keys) > 1:
            for key in sorted(keys):
                await self._plan(agenda, frozenset({key}))
            return
        for key in keys:
            agenda.wake({key: self._clock() + agenda.troubles.note(key, error)})

    def _note(self, watch: Watch) -> None:
        while (commit := watch.next_nowait()) is not None:
            self._note_commit(commit)

    def _note_commit(self, commit: Commit) -> None:
        for agenda in self._agendas:
            try:
                for event in commit.events:
                    agenda.dirty.update(agenda.room.dirty(event, self._store.view))
            except Exception:
                log.exception("%s cannot follow a commit: it looks at all anew", agenda.room.name)
                agenda.dirty.update(agenda.room.everything(self._store.view))

    async def _rest(self, watch: Watch) -> None:
        """Sleep until something changed or a key's time has come."""
        self._note(watch)
        if any(agenda.dirty for agenda in self._agendas):
            return
        wakes = [agenda.next_wake for agenda in self._agendas]
        first = min((moment for moment in wakes if moment is not None), default=None)
        pause = None if first is None else max(0.0, (first - self._clock()).total_seconds())
        try:
            async with asyncio.timeout(pause):
                await watch.wait()
        except TimeoutError:
            pass
