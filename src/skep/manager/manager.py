"""One manager: the store, the rooms that decide over it, the dispatcher that sends and hears, and
the port at which nodes and strangers call."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

from skep.kit.clock import SteadyClock
from skep.kit.jobs import forever
from skep.manager.allocator import Allocator
from skep.manager.ca.authority import Authority
from skep.manager.ca.registrar import Registrar
from skep.manager.ca.rotation import RootRotation
from skep.manager.control import Control
from skep.manager.dispatcher import Dispatcher
from skep.manager.logs import ServiceLogs
from skep.manager.loop import Loop
from skep.manager.orchestrator import Orchestrator
from skep.manager.reaper import Reaper
from skep.manager.reception import Reception
from skep.manager.room import Room
from skep.manager.scheduler import ConstraintEnforcer, Scheduler
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog


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


class Manager:
    """`start` before use; `run` until cancelled; `close` at the end.

    What is stamped and waited for goes by one clock, which never goes back, not between two runs
    either. Certificates go by the wall clock, as TLS does.
    """

    def __init__(self, state: Path, clock: SteadyClock | None = None) -> None:
        clock = clock or SteadyClock()
        self._clock = clock
        self.store = Primary(SqliteLog(state / "store.db"), clock)
        self.control = Control(self.store, Authority(), clock=clock)
        self.registrar = Registrar(self.store)
        self.dispatcher = Dispatcher(self.store, self.registrar, clock)
        self.logs = ServiceLogs(self.store, self.dispatcher)
        self.reception = Reception(lambda: self.store.view, self.registrar, self.dispatcher)

    async def start(self) -> None:
        """Read the store and expect its nodes. Raises Unavailable when it cannot be read."""
        await self.store.start()
        self._clock.not_before(self.store.newest_stamp())
        await self.dispatcher.start()

    async def listen(self, address: str, context: Callable[[], ssl.SSLContext]) -> None:
        """Take callers at `address` (host:port). Raises Unavailable when it is taken."""
        await self.reception.open(address, context)

    async def run(self) -> None:
        """Raises when the store can take nothing more: a manager that only seems to decide is
        worse than none."""
        loop = Loop(self.store, rooms(), self._clock)
        async with asyncio.TaskGroup() as group:
            group.create_task(forever("the deciding loop", loop.run))
            group.create_task(forever("the dispatcher", self.dispatcher.run))
            group.create_task(forever("the story", self.control.story.run))
            group.create_task(self.store.stands())

    async def close(self) -> None:
        await self.reception.close()
        await self.store.close()
