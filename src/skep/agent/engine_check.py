"""Whether this node's engine still takes work: its disk may hang although its agent speaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from skep.kit.errors import Unavailable

log = logging.getLogger(__name__)

PERIOD_S = 5.0
PATIENCE_S = 30.0
"""A disk that is merely busy answers within it."""
_SILENT = f"the engine of this node has not answered for {PATIENCE_S:.0f} s: a disk of it hangs"


class EngineCheck:
    """`run` it. `ask` returns when the engine takes work; an error is an answer too.

    A node without a pulse holds no session, so that the manager takes it for lost and gives its
    tasks to nodes that can run them.
    """

    def __init__(self, ask: Callable[[], Awaitable[None]]) -> None:
        self._ask = ask
        self._beats = asyncio.Event()
        self._stopped = asyncio.Event()
        self._beats.set()

    @property
    def problem(self) -> str:
        """In words; "" while the engine answers."""
        return "" if self._beats.is_set() else _SILENT

    async def run(self) -> None:
        while True:
            asking = asyncio.ensure_future(self._ask())
            try:
                if not (await asyncio.wait({asking}, timeout=PATIENCE_S))[0]:
                    self._stop()
                    await asyncio.wait({asking})
            finally:
                asking.cancel()
            if error := asking.exception():
                log.warning("the engine answers with an error: %s", error)
            self._go_on()
            await asyncio.sleep(PERIOD_S)

    async def there(self) -> None:
        """Return as soon as the engine answers."""
        await self._beats.wait()

    async def lost(self) -> None:
        """Raises Unavailable as soon as the engine does not answer any more."""
        await self._stopped.wait()
        raise Unavailable(_SILENT)

    def _stop(self) -> None:
        log.error("%s; the manager is told nothing until it does", _SILENT)
        self._beats.clear()
        self._stopped.set()

    def _go_on(self) -> None:
        if not self._beats.is_set():
            log.info("the engine of this node answers again")
        self._stopped.clear()
        self._beats.set()
