"""The host's rule tables as they are and as they shall be; changes gathered into transactions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from skep.kit.batch import Batch
from skep.network.rules import (
    BridgeRules,
    Family,
    PortKey,
    bridge_elements,
    host_table,
    no_table,
    port_changes,
    ports_of,
)
from skep.network.values import Backend, PublishedPort


class Firewall:
    """Keeps our tables. `run` carries out nft commands in one transaction, in the host.

    What is in the kernel is known because we wrote it: the first transaction replaces the tables,
    each later one says the difference. A refused transaction raises to all who took part in it,
    and what they asked for is forgotten.
    """

    def __init__(
        self, families: tuple[Family, ...], table: str, run: Callable[[str], Awaitable[object]]
    ) -> None:
        self._families = families
        self._table = table
        self._run = run
        self._written = False
        self._bridges: dict[str, BridgeRules] = {}
        self._bridges_written: dict[str, BridgeRules] = {}
        self._owners: dict[str, tuple[PublishedPort, ...]] = {}
        self._wanted: dict[Family, dict[PortKey, tuple[Backend, ...]]] = {f: {} for f in families}
        self._in_kernel: dict[Family, dict[PortKey, tuple[Backend, ...]]] = {
            f: {} for f in families
        }
        self._dirty: dict[Family, set[PortKey]] = {f: set() for f in families}
        self._batch = Batch(self._commit)

    async def set_bridges(self, bridges: Mapping[str, BridgeRules]) -> None:
        """Make these (by network id) all the bridges that the rules know."""
        before, self._bridges = self._bridges, dict(bridges)
        try:
            await self._batch.join()
        except Exception:
            self._bridges = before
            raise

    def published(self, owner: str) -> tuple[PublishedPort, ...]:
        """What an owner publishes now."""
        return self._owners.get(owner, ())

    async def set_ports(self, owner: str, ports: tuple[PublishedPort, ...]) -> None:
        """Make these all that one owner publishes; no other owner has the same (see HostPorts)."""
        before = self._owners.get(owner, ())
        if ports == before and self._written:
            return
        self._note(owner, ports)
        try:
            await self._batch.join()
        except Exception:
            self._note(owner, before)
            raise

    async def replace(
        self, bridges: Mapping[str, BridgeRules], owners: Mapping[str, tuple[PublishedPort, ...]]
    ) -> None:
        """Make this everything, in one transaction."""
        self._bridges = dict(bridges)
        for owner in list(self._owners):
            self._note(owner, ())  # all before any, as a port may move between owners
        for owner, ports in owners.items():
            self._note(owner, ports)
        await self._batch.join()

    async def remove(self) -> None:
        """Take our tables away; the next change writes them again."""
        self._written = False
        self._bridges.clear()
        for owner in list(self._owners):
            self._note(owner, ())
        await self._run("".join(no_table(family, self._table) for family in self._families))

    def _note(self, owner: str, ports: tuple[PublishedPort, ...]) -> None:
        before = self._owners.pop(owner, ())
        if ports:
            self._owners[owner] = ports
        for family in self._families:
            old, new = ports_of(family, before), ports_of(family, ports)
            wanted = self._wanted[family]
            for key in old:
                wanted.pop(key, None)
            wanted |= new
            self._dirty[family] |= old.keys() | new.keys()

    async def _commit(self) -> None:
        commands, bridges = self._commands(), dict(self._bridges)
        wanted = {family: dict(ports) for family, ports in self._wanted.items()}
        dirty, self._dirty = self._dirty, {f: set() for f in self._families}
        if not commands:
            return
        try:
            await self._run(commands)
        except Exception:
            for family in self._families:
                self._dirty[family] |= dirty[family]
            raise
        self._written, self._bridges_written, self._in_kernel = True, bridges, wanted

    def _commands(self) -> str:
        parts = []
        for family in self._families:
            before, after = self._in_kernel[family], self._wanted[family]
            if not self._written:
                parts.append(host_table(family, self._table))
                parts.append(port_changes(family, self._table, {}, after))
            else:
                dirty = self._dirty[family]
                parts.append(
                    port_changes(
                        family,
                        self._table,
                        {key: before[key] for key in dirty if key in before},
                        {key: after[key] for key in dirty if key in after},
                    )
                )
            if not self._written or self._bridges != self._bridges_written:
                parts.append(bridge_elements(family, self._table, self._bridges.values()))
        return "".join(parts)
