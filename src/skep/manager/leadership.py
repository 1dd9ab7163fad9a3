"""What only the manager that leads does: made when its leading begins, dropped when that ends.

Nothing is remembered from one leadership to the next but what stands in the store, so that a new
leader goes on as the old one would have.
"""

from __future__ import annotations

from datetime import datetime

from skep.kit.clock import ZERO_TIME, SteadyClock
from skep.kit.jobs import Jobs, forever
from skep.manager.allocator import Allocator
from skep.manager.ca.registrar import Registrar
from skep.manager.ca.rotation import RootRotation
from skep.manager.dispatcher import Dispatcher
from skep.manager.loop import Loop
from skep.manager.orchestrator import Orchestrator
from skep.manager.reaper import Reaper
from skep.manager.room import Room
from skep.manager.scheduler import ConstraintEnforcer, Scheduler
from skep.store.change import View
from skep.store.store import Store


def rooms() -> list[Room]:
    """The deciding rooms, in the order in which a new task passes through them."""
    return [
        Orchestrator(),
        Allocator(),
        Scheduler(),
        ConstraintEnforcer(),
        Reaper(),
        RootRotation(),
    ]


class Leadership:
    """One time of leading, from `begin` to `end`."""

    def __init__(self, store: Store, registrar: Registrar, clock: SteadyClock) -> None:
        self._store = store
        self._clock = clock
        self._jobs = Jobs()
        self._loop = Loop(store, rooms(), clock)
        self.dispatcher = Dispatcher(store, registrar, clock)

    async def begin(self) -> None:
        """Expect every node, then decide. Raises Unavailable when the store cannot be written."""
        self._clock.not_before(newest_stamp(self._store.view))
        await self.dispatcher.start()
        self._jobs.start(forever("the deciding loop", self._loop.run), "the deciding loop")
        self._jobs.start(forever("the dispatcher", self.dispatcher.run), "the dispatcher")

    async def end(self, reason: str) -> None:
        """Decide, write and hear nothing more; agents are told the reason. Idempotent."""
        await self._jobs.close()
        await self.dispatcher.end(reason)


def newest_stamp(view: View) -> datetime:
    """When anything was last written, as its writer's clock said."""
    return max((stored.updated_at for stored in view.all()), default=ZERO_TIME)
