"""One manager: the store, the rooms that decide over it, the dispatcher that sends and hears."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from skep.manager.allocator import Allocator
from skep.manager.ca.authority import Authority
from skep.manager.control import Control
from skep.manager.dispatcher import Dispatcher
from skep.manager.logs import ServiceLogs
from skep.manager.loop import Loop
from skep.manager.orchestrator import Orchestrator
from skep.manager.reaper import Reaper
from skep.manager.room import Room
from skep.manager.scheduler import ConstraintEnforcer, Scheduler
from skep.store.sqlite import SqliteLog
from skep.store.store import Store

log = logging.getLogger(__name__)

_RESTART_S = 1.0


def rooms() -> list[Room]:
    """The deciding rooms, in the order in which a new task passes through them."""
    return [Orchestrator(), Allocator(), Scheduler(), ConstraintEnforcer(), Reaper()]


class Manager:
    """`start` before use; `run` until cancelled; `close` at the end."""

    def __init__(self, state: Path) -> None:
        self.store = Store(SqliteLog(state / "store.db"))
        self.control = Control(self.store, Authority())
        self.dispatcher = Dispatcher(self.store)
        self.logs = ServiceLogs(self.store, self.dispatcher)

    async def start(self) -> None:
        """Read the store. Raises Unavailable when it cannot be read."""
        await self.store.start()

    async def run(self) -> None:
        loop = Loop(self.store, rooms())
        async with asyncio.TaskGroup() as group:
            group.create_task(_forever("the deciding loop", loop.run))
            group.create_task(_forever("the dispatcher", self.dispatcher.run))

    async def close(self) -> None:
        await self.store.close()


async def _forever(what: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A fault in one part is logged and the part begun anew: its state is all in the store."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("%s failed and is started again", what)
        await asyncio.sleep(_RESTART_S)
