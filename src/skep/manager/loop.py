"""The one loop that drives every deciding room: look, plan, commit, look again if refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from skep.kit.clock import SteadyClock
from skep.kit.errors import SkepError
from skep.kit.ids import new_id
from skep.manager.agenda import Agendas, Turn
from skep.manager.observations import NOTHING_SEEN, Seen
from skep.manager.room import NewId, Room
from skep.store.store import Store
from skep.store.watch import Lagged, Watch

log = logging.getLogger(__name__)

_TURNS_OF_OTHERS = 20
"""So often others have their turn while commits are noted: they may make more of them."""


class Loop:
    """Drives the rooms' agendas (`agenda.py`) over a store until cancelled."""

    def __init__(
        self,
        store: Store,
        rooms: Sequence[Room],
        clock: Callable[[], datetime] | None = None,
        ids: NewId = new_id,
        seen: Seen = NOTHING_SEEN,
    ) -> None:
        self._store = store
        self._agendas = Agendas(rooms, ids, seen)
        self._clock = clock or SteadyClock()

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
        self._agendas.look_at_all(self._store.view)
        return watch

    async def _round(self, watch: Watch) -> None:
        await self._note(watch)
        while (turn := self._agendas.next_turn(self._store.view, self._clock())) is not None:
            for explanation in turn.plan.explanations:
                log.info("%s: %s", turn.agenda.room.name, explanation)
            await asyncio.sleep(0)  # others have their turn, also where nothing is to be committed
            self._agendas.settle(turn, await self._refusal(turn), self._clock())
            await self._note(watch)

    async def _refusal(self, turn: Turn) -> SkepError | None:
        try:
            await self._store.commit(turn.plan.changes)
        except SkepError as error:
            return error
        return None

    async def _note(self, watch: Watch) -> None:
        """Others have their turn after each commit; when this returns all are noted, as the rooms
        expect of whoever lets them plan."""
        for _ in range(_TURNS_OF_OTHERS):
            if not self._note_next(watch):
                return
            await asyncio.sleep(0)
        while self._note_next(watch):
            pass

    def _note_next(self, watch: Watch) -> bool:
        commit = watch.next_nowait()
        if commit is not None:
            self._agendas.follow(commit, self._store.view)
        return commit is not None

    async def _rest(self, watch: Watch) -> None:
        """Sleep until something changed or a key's time has come."""
        await self._note(watch)
        if self._agendas.dirty:
            return
        first = self._agendas.next_wake
        pause = None if first is None else max(0.0, (first - self._clock()).total_seconds())
        try:
            async with asyncio.timeout(pause):
                await watch.wait()
        except TimeoutError:
            pass
