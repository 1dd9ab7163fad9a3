"""Records that follow what is so: memory changes first, and a disk that refuses is asked again.

For what has happened already, whether it can be written or not (a process ended, a person stopped
it). What has yet to happen is written first, by `RecordFolder`, and does not happen otherwise.
"""

from __future__ import annotations

import asyncio
import logging

from skep.engine.containers.container import Container, Registry
from skep.engine.containers.record import RecordFolder

_log = logging.getLogger(__name__)
_RETRY_S = 1.0


class Notes:
    """Owes at most the newest record of each container. `close` ends the trying."""

    def __init__(self, folder: RecordFolder, registry: Registry) -> None:
        self._folder = folder
        self._registry = registry
        self._owed: set[str] = set()
        self._payer: asyncio.Task[None] | None = None

    async def keep(self, container: Container) -> None:
        """Write the record as it stands; when that fails, later. Never raises. The turn is held."""
        if await self._write(container):
            return
        self._owed.add(container.id)
        if self._payer is None or self._payer.done():
            self._payer = asyncio.create_task(self._pay(), name="container-notes")

    async def close(self) -> None:
        if self._payer is not None:
            self._payer.cancel()
            await asyncio.wait({self._payer})

    async def _write(self, container: Container) -> bool:
        owed = container.id in self._owed
        try:
            await asyncio.to_thread(self._folder.note, container.record)
        except Exception as error:
            if not owed:
                _log.error("%s; trying again", error)
            return False
        if owed:
            _log.info("container %s: its record is written", container.short_id)
        self._owed.discard(container.id)
        return True

    async def _pay(self) -> None:
        while self._owed:
            await asyncio.sleep(_RETRY_S)
            for container_id in sorted(self._owed):
                container = self._registry.get(container_id)
                if container is None:
                    self._owed.discard(container_id)
                elif not container.turn.locked():  # else it is about to be written, or removed
                    async with container.turn:
                        await self._write(container)
