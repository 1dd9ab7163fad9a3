"""The managers that a node knows: which it asks next, remembered over its own restarts."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec

from skep.kit.errors import UNDECODABLE
from skep.kit.files import write_atomically
from skep.model.system import Peer

log = logging.getLogger(__name__)


class Roster:
    """What managers say of themselves, kept in `path`, and the addresses the node joined by.

    The latter stay at the end of the list: what managers advertise may not be reachable from here.
    """

    def __init__(self, path: Path, joined_by: list[str]) -> None:
        self._path = path
        self._joined_by = joined_by
        self._told: list[Peer] = []
        self._next = 0

    @property
    def managers(self) -> list[Peer]:
        return self._told or [Peer(addr=address) for address in self._joined_by]

    def load(self) -> None:
        """A file that cannot be read is as good as none: there are the addresses to join by."""
        try:
            self._told = msgspec.json.decode(self._path.read_bytes(), type=list[Peer])
        except FileNotFoundError:
            pass
        except (OSError, *UNDECODABLE) as error:
            log.warning("%s cannot be read: %s", self._path, error)

    async def learn(self, managers: list[Peer]) -> None:
        """These are the managers now. Raises OSError when that cannot be kept."""
        if managers and managers != self._told:
            self._told = managers
            body = msgspec.json.encode(managers)
            await asyncio.to_thread(write_atomically, self._path, body, 0o644)

    def next_address(self) -> str:
        """One after the other (host:port), so that one who does not answer holds up nothing."""
        addresses = [peer.addr for peer in self._told]
        addresses += [address for address in self._joined_by if address not in addresses]
        address = addresses[self._next % len(addresses)]
        self._next += 1
        return address
