"""The host's rule tables as they are and as they shall be; changes gathered into transactions."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from skep.kit.batch import Batch
from skep.kit.errors import Internal
from skep.network.rules import (
    BridgeRules,
    Family,
    PortKey,
    bridge_elements,
    host_table,
    no_table,
    port_changes,
    ports_of,
    strangers,
)
from skep.network.values import Backend, PublishedPort

_log = logging.getLogger(__name__)


class Firewall:
    """Keeps our tables. `run` carries out nft commands in one transaction, in the host.

    What is in the kernel is known because we wrote it: the first transaction replaces the tables,
    each later one says the difference. When a difference is refused, somebody else has changed the
    tables: they are replaced again. A transaction that is refused even then raises to all who took
    part in it, and what they asked for is forgotten.
    """

    def __init__(
        self,
        families: tuple[Family, ...],
        table: str,
        run: Callable[[str], Awaitable[str]],
        *,
        drops: bool = True,
    ) -> None:
        self._families = families
        self._table = table
        self._run = run
        self._written = False
        self._whole_next = True
        self._bridges: dict[str, BridgeRules] = {}
        self._bridges_written: dict[str, BridgeRules] = {}
        self._drops = drops
        self._our_router: frozenset[Family] = frozenset()
        self._our_router_written: frozenset[Family] = frozenset()
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

    def make_router(self, families: Iterable[Family]) -> None:
        """The host is about to forward these because of us: the next change says so, and drops what
        is none of ours, if that is wanted."""
        self._our_router |= frozenset(families)

    async def recall_router(self) -> None:
        """An earlier process of ours may have made the host a router: the one thing that is read
        back, as nobody else remembers it."""
        for family in self._families:
            if "accept" in await self._chain(family, "strangers"):
                self.make_router([family])

    async def _chain(self, family: Family, name: str) -> str:
        """As nft lists it; empty when it is not there."""
        try:
            return await self._run(f"list chain {family.ip} {self._table} {name}")
        except Internal:
            return ""

    async def restore(self) -> None:
        """Somebody else changed our tables: make them what they were.

        An owner flag (nft(8), `flags owner, persist`) would keep `flush ruleset` off them. It needs
        a kernel of 6.9 and libnftables of 1.1 so that they outlive us, and would keep off the
        host's administrator too.
        """
        if self._written:
            self._whole_next = True
            await self._batch.join()

    async def is_there(self) -> bool:
        """Whether the tables are still there, as far as a look at one chain of each tells."""
        return not self._written or all([await self._has_forward(each) for each in self._families])

    async def _has_forward(self, family: Family) -> bool:
        return "jump strangers" in await self._chain(family, "forward")

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
        self._written, self._whole_next = False, True
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
        if not self._whole_next:
            try:
                await self._write()
            except Internal as error:
                _log.warning("our rules were changed by others and are replaced: %s", error)
                self._whole_next = True
            else:
                return
        await self._write()

    async def _write(self) -> None:
        whole, bridges, our_router = self._whole_next, dict(self._bridges), self._our_router
        commands = "".join(map(self._whole if whole else self._difference, self._families))
        wanted = {family: dict(ports) for family, ports in self._wanted.items()}
        dirty, self._dirty = self._dirty, {f: set() for f in self._families}
        if not commands:
            return
        self._whole_next = False
        try:
            await self._run(commands)
        except BaseException:
            self._whole_next |= whole
            for family in self._families:
                self._dirty[family] |= dirty[family]
            raise
        self._written, self._in_kernel = True, wanted
        self._bridges_written, self._our_router_written = bridges, our_router

    def _whole(self, family: Family) -> str:
        return (
            host_table(family, self._table)
            + port_changes(family, self._table, {}, self._wanted[family])
            + bridge_elements(family, self._table, self._bridges.values())
            + self._strangers(family)
        )

    def _strangers(self, family: Family) -> str:
        ours = family in self._our_router
        return strangers(family, self._table, our_router=ours, drops=self._drops)

    def _difference(self, family: Family) -> str:
        before, after = self._in_kernel[family], self._wanted[family]
        dirty = self._dirty[family]
        said = port_changes(
            family,
            self._table,
            {key: before[key] for key in dirty if key in before},
            {key: after[key] for key in dirty if key in after},
        )
        if self._bridges != self._bridges_written:
            said += bridge_elements(family, self._table, self._bridges.values())
        if self._our_router != self._our_router_written:
            said += self._strangers(family)
        return said
