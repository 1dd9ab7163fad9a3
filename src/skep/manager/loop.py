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
from skep.manager.room import NewId, Room
from skep.store.store import Store
from skep.store.watch import Lagged, Watch

log = logging.getLogger(__name__)


class Loop:
    """Drives the rooms' agendas (`agenda.py`) over a store until cancelled."""

    def __init__(
        self,
        store: Store,
        rooms: Sequence[Room],
        clock: Callable[[], datetime] | None = None,
        ids: NewId = new_id,
    ) -> None:
        self._store = store
        self._agendas = Agendas(rooms, ids)
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
        self._note(watch)
        while (turn := self._agendas.next_turn(self._store.view, self._clock())) is not None:
            for explanation in turn.plan.explanations:
                log.info("%s: %s", turn.agenda.room.name, explanation)
            self._agendas.settle(turn, await self._refusal(turn), self._clock())
            self._note(watch)

    async def _refusal(self, turn: Turn) -> SkepError | None:
        try:
            await self._store.commit(turn.plan.changes)
        except SkepError as error:
            return error
        return None

    def _note(self, watch: Watch) -> None:
        while (commit := watch.next_nowait()) is not None:
            self._agendas.follow(commit, self._store.view)

    async def _rest(self, watch: Watch) -> None:
        """Sleep until something changed or a key's time has come."""
        self._note(watch)
        if self._agendas.dirty:
            return
        first = self._agendas.next_wake
        pause = None if first is None else max(0.0, (first - self._clock()).total_seconds())
        try:
            async with asyncio.timeout(pause):
                await watch.wait()
        except TimeoutError:
            pass
