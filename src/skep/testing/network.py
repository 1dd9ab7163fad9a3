"""A HostNetwork that only remembers, for tests of those who use one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from skep.kit.errors import Conflict, NotFound, SkepError
from skep.network.values import (
    Attachment,
    Bridge,
    Inventory,
    PublishedPort,
    Sandbox,
    VirtualAddress,
    Zone,
)
from skep.network.words import link_name

_FIRST_EPHEMERAL = 32768


class FakeNetwork:
    """See `skep.network.host.HostNetwork`; what it was told stands in its attributes.

    foreign_ports    (protocol, port) that other programs of the host have.
    subnets          what `occupied_subnets` answers.
    """

    def __init__(self, exec_root: Path = Path("/nowhere")) -> None:
        self._exec_root = exec_root
        self.bridges: dict[str, Bridge] = {}
        self.sandboxes: dict[str, Sandbox] = {}
        self.published: dict[str, tuple[PublishedPort, ...]] = {}
        self.virtual: dict[str, tuple[VirtualAddress, ...]] = {}
        self.zones: dict[str, Zone] = {}
        self.foreign_ports: set[tuple[str, int]] = set()
        self.subnets: tuple[str, ...] = ()
        self.is_open = False

    async def open(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    async def ensure_bridge(self, bridge: Bridge) -> None:
        taken = {b.link for b in self.bridges.values() if b.id != bridge.id and b.link}
        if bridge.link in taken:
            raise Conflict(f"the link name {bridge.link} is taken on this host: choose another")
        if bridge.link:
            link_name(bridge.link)
        self.bridges[bridge.id] = bridge

    async def remove_bridge(self, network_id: str) -> None:
        self.bridges.pop(network_id, None)
        self.forget_zone(network_id)

    def netns_path(self, sandbox_id: str) -> Path:
        return self._exec_root / "netns" / sandbox_id

    async def create_sandbox(self, sandbox: Sandbox) -> None:
        for attachment in sandbox.attachments:
            self._check_network(attachment.network_id)
        self.sandboxes[sandbox.id] = sandbox

    async def connect(self, sandbox_id: str, attachment: Attachment) -> None:
        others = self._others(sandbox_id, attachment.network_id)
        if any(each.ifname == attachment.ifname for each in others):
            raise Conflict(f"interface {attachment.ifname} exists already in {sandbox_id}")
        self._check_network(attachment.network_id)
        self._attach(sandbox_id, (*others, attachment))

    async def disconnect(self, sandbox_id: str, network_id: str) -> None:
        self._attach(sandbox_id, self._others(sandbox_id, network_id))

    def _others(self, sandbox_id: str, network_id: str) -> tuple[Attachment, ...]:
        sandbox = self._sandbox(sandbox_id)
        return tuple(each for each in sandbox.attachments if each.network_id != network_id)

    def _attach(self, sandbox_id: str, attachments: tuple[Attachment, ...]) -> None:
        sandbox = self._sandbox(sandbox_id)
        self.sandboxes[sandbox_id] = msgspec.structs.replace(sandbox, attachments=attachments)

    def _sandbox(self, sandbox_id: str) -> Sandbox:
        if sandbox_id not in self.sandboxes:
            raise NotFound(f"sandbox {sandbox_id} not found")
        return self.sandboxes[sandbox_id]

    def _check_network(self, network_id: str) -> None:
        if network_id not in self.bridges:
            raise NotFound(f"network {network_id} not found on this host")

    async def remove_sandbox(self, sandbox_id: str) -> None:
        self.sandboxes.pop(sandbox_id, None)
        self.virtual.pop(sandbox_id, None)

    async def publish(
        self, owner: str, ports: tuple[PublishedPort, ...]
    ) -> tuple[PublishedPort, ...]:
        taken = set(self.foreign_ports)
        for other, theirs in self.published.items():
            if other != owner:
                taken |= {(each.protocol, each.host_port) for each in theirs}
        chosen = []
        for port in ports:
            number = _free_port(port, taken)
            taken.add((port.protocol, number))
            chosen.append(msgspec.structs.replace(port, host_port=number, host_port_end=0))
        self.published[owner] = tuple(chosen)
        return tuple(chosen)

    async def unpublish(self, owner: str) -> None:
        self.published.pop(owner, None)

    async def set_virtual_addresses(
        self, sandbox_id: str, addresses: tuple[VirtualAddress, ...]
    ) -> None:
        self.virtual[self._sandbox(sandbox_id).id] = addresses

    def set_zone(self, network_id: str, zone: Zone) -> None:
        self.zones[network_id] = zone

    def update_names(self, network_id: str, names: Mapping[str, tuple[str, ...]]) -> None:
        zone = self.zones.get(network_id, Zone(name=""))
        together = {**zone.names, **names}
        kept = {name: addresses for name, addresses in together.items() if addresses}
        self.zones[network_id] = Zone(name=zone.name, names=kept)

    def forget_zone(self, network_id: str) -> None:
        self.zones.pop(network_id, None)

    async def discover(self) -> Inventory:
        return Inventory(bridges=frozenset(self.bridges), sandboxes=frozenset(self.sandboxes))

    async def occupied_subnets(self) -> tuple[str, ...]:
        return self.subnets

    async def repair(
        self,
        bridges: Collection[Bridge],
        sandboxes: Collection[Sandbox],
        published: Mapping[str, tuple[PublishedPort, ...]],
    ) -> Mapping[str, SkepError]:
        self.bridges = {bridge.id: bridge for bridge in bridges}
        self.sandboxes, self.published = {}, {}
        failed: dict[str, SkepError] = {}
        for owner, ports in published.items():
            try:
                await self.publish(owner, ports)
            except SkepError as error:
                failed[owner] = error
        for sandbox in sandboxes:
            try:
                await self.create_sandbox(sandbox)
            except SkepError as error:
                failed[sandbox.id] = error
        return failed

    async def clear(self) -> None:
        self.bridges, self.sandboxes, self.published = {}, {}, {}


def _free_port(port: PublishedPort, taken: set[tuple[str, int]]) -> int:
    first = port.host_port or _FIRST_EPHEMERAL
    last = max(first, port.host_port_end) if port.host_port else 65535
    for number in range(first, last + 1):
        if (port.protocol, number) not in taken:
            return number
    where = port.host_ip or "0.0.0.0"
    if last > first:
        raise Conflict(f"Bind for {where}:{first}-{last} failed: all ports are allocated")
    raise Conflict(f"Bind for {where}:{first} failed: port is already allocated")
