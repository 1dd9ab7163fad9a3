"""The service ports that this node answers at: what the agent wants, told to the host."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from skep.kit.errors import UNDECODABLE, Conflict
from skep.network.host import HostNetwork
from skep.network.values import PublishedPort


class ServicePorts:
    """Keeps the host's rules at what was last wanted; each port is an owner of its own there.

    The last wish is kept in a file of the exec root, so that a restart leaves no moment without
    the rules.
    """

    def __init__(self, host: HostNetwork, path: Path) -> None:
        self._host = host
        self._path = path
        self._published: dict[str, tuple[PublishedPort, ...]] = {}
        self._turn = asyncio.Lock()

    async def publish(self, wanted: Iterable[PublishedPort]) -> None:
        """Make these all; raises Conflict for those that cannot be had, after making the others."""
        async with self._turn:
            ports = {_owner(port): (port,) for port in wanted}
            for owner in self._published.keys() - ports.keys():
                await self._host.unpublish(owner)
                del self._published[owner]
            refused = await self._apply(ports)
            await asyncio.to_thread(self._keep)
        if refused:
            raise Conflict("; ".join(refused))

    async def _apply(self, ports: Mapping[str, tuple[PublishedPort, ...]]) -> list[str]:
        refused = []
        for owner, wanted in ports.items():
            if self._published.get(owner) == wanted:
                continue
            try:
                self._published[owner] = await self._host.publish(owner, wanted)
            except Conflict as error:
                refused.append(str(error))
        return refused

    def recall(self) -> Mapping[str, tuple[PublishedPort, ...]]:
        """What was published before a restart. Blocking."""
        try:
            text = self._path.read_bytes()
            self._published = msgspec.json.decode(text, type=dict[str, tuple[PublishedPort, ...]])
        except (OSError, *UNDECODABLE):
            self._published = {}
        return dict(self._published)

    def forget(self, owner: str) -> None:
        """The host could not take it up again."""
        self._published.pop(owner, None)

    def _keep(self) -> None:
        draft = self._path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(self._published))
        draft.rename(self._path)


def _owner(port: PublishedPort) -> str:
    return f"service-{port.protocol}-{port.host_port}"
