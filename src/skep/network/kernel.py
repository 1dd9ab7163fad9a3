"""The real HostNetwork: links by netlink, rules by nftables, names by our own resolver.

Three worker threads, all at home in the host's namespace: one for links and namespaces
(`host_links.py`), one for rules, and one for the firewalls of other programs
(`other_firewalls.py`), which takes child processes and may wait for locks. The event loop only
waits for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from skep.kit.errors import Conflict, InvalidArgument, NotFound, SkepError
from skep.kit.jobs import Jobs, forever
from skep.network.conntrack import stale_flows
from skep.network.loopback import networks_of
from skep.network.names import Names
from skep.network.other_firewalls import close_passage, open_passage
from skep.network.resolver import Client
from skep.network.rule_changes import LOST, Change
from skep.network.rules import IPV4, IPV6, BridgeRules, bridge_rules
from skep.network.sandboxes import BridgePort
from skep.network.tools import Tools, open_tools
from skep.network.values import (
    Attachment,
    Bridge,
    Inventory,
    PublishedPort,
    Sandbox,
    VirtualAddress,
    Zone,
)

_log = logging.getLogger(__name__)
_LOOK_S = 30.0
_SETTLE_S = 0.3
"""A firewall is loaded in several steps; and one that changes all the time is not to keep us busy.
"""
_SUFFIX = re.compile(r"[a-z0-9]*")


class KernelNetwork:
    """See `host.HostNetwork`.

    exec_root   where this instance keeps what does not outlive a boot.
    suffix      tells instances on one host apart: a few characters of [a-z0-9].
    resolv_conf names the servers that sandboxes' questions go to in the end.
    drops       once we made the host a router, whatever it forwards that is none of ours. A host
                that was one before stays as it is.
    """

    def __init__(
        self,
        exec_root: Path,
        suffix: str = "",
        resolv_conf: Path = Path("/etc/resolv.conf"),
        *,
        drops: bool = True,
    ) -> None:
        if not _SUFFIX.fullmatch(suffix):
            raise InvalidArgument(f'invalid instance suffix "{suffix}": use a-z and 0-9')
        self._names = Names(suffix)
        self._directory = exec_root / "netns"
        self._resolv_conf = resolv_conf
        self._drops = drops
        self._bridges: dict[str, Bridge] = {}
        self._ports: dict[str, BridgePort] = {}
        self._sandboxes: dict[str, Sandbox] = {}
        self._families = (IPV4, IPV6) if Path("/proc/sys/net/ipv6").exists() else (IPV4,)
        self._others_changed = asyncio.Event()
        self._opened: Tools | None = None
        self._is_open = False
        self._jobs = Jobs()

    # -- start and stop -------------------------------------------------------------------------

    async def open(self) -> None:
        self._opened = await open_tools(
            self._directory, self._resolv_conf, self._names, self._families, drops=self._drops
        )
        for keep in (self._keep_rules, self._keep_passage):
            self._jobs.start(forever("the watch over packet rules", keep), "packet rules")
        self._is_open = True

    async def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        await self._jobs.close()
        await self._tools.close()

    @property
    def _tools(self) -> Tools:
        assert self._opened is not None, "the network is not open"
        return self._opened

    # -- bridges --------------------------------------------------------------------------------

    async def ensure_bridge(self, bridge: Bridge) -> None:
        before = self._bridges.get(bridge.id)
        await self._make_bridge(bridge)
        try:
            await self._write_rules()
            await self._tools.loopback.tell(self._ports[bridge.id].link)
        except BaseException:
            if before is None:
                await self._drop_bridge(bridge.id)
            else:
                self._bridges[bridge.id] = before
            raise
        await self._open_passage()

    async def _make_bridge(self, bridge: Bridge) -> None:
        port = await self._tools.links.ensure_bridge(bridge)
        self._bridges[bridge.id], self._ports[bridge.id] = bridge, port

    async def remove_bridge(self, network_id: str) -> None:
        self._tools.resolvers.zones.forget(network_id)
        await self._drop_bridge(network_id)
        await self._tools.firewall.set_bridges(self._bridge_rules())
        await self._open_passage()

    async def _drop_bridge(self, network_id: str) -> None:
        self._bridges.pop(network_id, None)
        if (port := self._ports.pop(network_id, None)) is not None:
            self._tools.loopback.forget(port.link)
        await self._tools.links.delete_bridges({network_id})

    async def _write_rules(
        self, ports: Mapping[str, tuple[PublishedPort, ...]] | None = None
    ) -> None:
        """The rules for all bridges, and then what they guard: that the host forwards packets.

        ports   by owner: all that is published, too.
        """
        tools = self._tools
        subnets = [each for bridge in self._bridges.values() for each in bridge.subnets]
        versions = {6 if ":" in each.subnet else 4 for each in subnets}
        unforwarded = await tools.links.not_forwarded(versions)
        tools.firewall.make_router(f for f in self._families if f.version in unforwarded)
        if ports is None:
            await tools.firewall.set_bridges(self._bridge_rules())
        else:
            await tools.firewall.replace(self._bridge_rules(), ports)
        await tools.links.forward(unforwarded)

    def _bridge_rules(self) -> dict[str, BridgeRules]:
        return {
            id_: bridge_rules(bridge, self._ports[id_].link)
            for id_, bridge in self._bridges.items()
        }

    async def occupied_subnets(self) -> tuple[str, ...]:
        return await self._tools.links.occupied_subnets()

    # -- other programs -------------------------------------------------------------------------

    async def _open_passage(self) -> None:
        """A firewall that we cannot open is reported, and stops nothing here."""
        tools = self._tools
        chosen = {bridge.link for bridge in self._bridges.values() if bridge.link}
        derived = {f"{self._names.bridge_prefix}+"} if self._bridges else set()
        patterns = sorted(chosen | derived)
        try:
            await tools.passage.run(open_passage, patterns, self._names.table, tools.nft.run)
        except SkepError as error:
            _log.warning("cannot open another program's firewall for containers: %s", error)

    async def _keep_rules(self) -> None:
        """Others may flush all rules, ours too: make them at once what they were."""
        ours = self._names.table.encode()
        changes: list[Change] = []  # none that we heard of
        while True:
            if any(ours in change.tables for change in changes) or (
                (not changes or LOST in changes) and not await self._tools.firewall.is_there()
            ):
                _log.warning("another program changed our packet rules: they are written anew")
                await self._tools.firewall.restore()
            if changes:
                self._others_changed.set()
            changes = await self._tools.changes.by_others(_LOOK_S)

    async def _keep_passage(self) -> None:
        """A firewall may start after us, or be reloaded. One of the old kind is found only by
        looking."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._others_changed.wait()
            await asyncio.sleep(_SETTLE_S)
            self._others_changed.clear()
            await self._open_passage()

    # -- sandboxes ------------------------------------------------------------------------------

    def netns_path(self, sandbox_id: str) -> Path:
        return self._tools.links.path(sandbox_id)

    async def create_sandbox(self, sandbox: Sandbox) -> None:
        ports = self._ports_of(sandbox)
        self._sandboxes[sandbox.id] = sandbox
        if await self._tools.links.create(sandbox, ports):
            self._tools.sandbox_rules.born(sandbox.id)
        await self._open_resolver(sandbox)

    def _ports_of(self, sandbox: Sandbox) -> dict[str, BridgePort]:
        wanted = [attachment.network_id for attachment in sandbox.attachments]
        for network_id in wanted:
            if network_id not in self._ports:
                raise NotFound(f"network {network_id} not found on this host")
        return {network_id: self._ports[network_id] for network_id in wanted}

    async def connect(self, sandbox_id: str, attachment: Attachment) -> None:
        before = self._sandbox(sandbox_id)
        others = _without(before, attachment.network_id)
        if any(each.ifname == attachment.ifname for each in others):
            raise Conflict(f"interface {attachment.ifname} exists already in {sandbox_id}")
        sandbox = msgspec.structs.replace(before, attachments=(*others, attachment))
        await self.create_sandbox(sandbox)

    async def disconnect(self, sandbox_id: str, network_id: str) -> None:
        before = self._sandbox(sandbox_id)
        sandbox = msgspec.structs.replace(before, attachments=_without(before, network_id))
        self._sandboxes[sandbox_id] = sandbox
        await self._tools.links.unplug(sandbox, network_id)
        await self._open_resolver(sandbox)

    def _sandbox(self, sandbox_id: str) -> Sandbox:
        try:
            return self._sandboxes[sandbox_id]
        except KeyError:
            raise NotFound(f"sandbox {sandbox_id} not found") from None

    async def remove_sandbox(self, sandbox_id: str) -> None:
        sandbox = self._sandboxes.get(sandbox_id)
        self._forget_sandbox(sandbox_id)
        await self._tools.links.remove(sandbox_id, sandbox)

    def _forget_sandbox(self, sandbox_id: str) -> None:
        self._sandboxes.pop(sandbox_id, None)
        self._tools.resolvers.close(sandbox_id)
        self._tools.sandbox_rules.forget(sandbox_id)

    # -- names ----------------------------------------------------------------------------------

    async def _open_resolver(self, sandbox: Sandbox) -> None:
        """Answer at 127.0.0.11, from now on for what the sandbox is attached to."""
        tools = self._tools
        if sandbox.resolver is None:
            return
        networks = tuple(attachment.network_id for attachment in sandbox.attachments)
        client = Client(
            networks=networks,
            links=sandbox.resolver.links,
            upstreams=sandbox.resolver.upstreams,
            forwards=any(not self._bridges[id_].internal for id_ in networks),
        )
        if tools.resolvers.change(sandbox.id, client):
            return
        path = self.netns_path(sandbox.id)
        sockets = await tools.rules.run(tools.sandbox_rules.open_resolver, sandbox.id, path)
        await tools.resolvers.open(sandbox.id, path, sockets, client)

    def set_zone(self, network_id: str, zone: Zone) -> None:
        self._tools.resolvers.zones.set(network_id, zone)

    def update_names(self, network_id: str, names: Mapping[str, tuple[str, ...]]) -> None:
        self._tools.resolvers.zones.update(network_id, names)

    def forget_zone(self, network_id: str) -> None:
        self._tools.resolvers.zones.forget(network_id)

    # -- published ports and virtual addresses --------------------------------------------------

    async def publish(
        self, owner: str, ports: tuple[PublishedPort, ...]
    ) -> tuple[PublishedPort, ...]:
        tools = self._tools
        before = tools.firewall.published(owner)
        chosen = tools.host_ports.reserve(owner, ports)
        try:
            await tools.firewall.set_ports(owner, chosen)
        except BaseException:
            tools.host_ports.keep_only(owner, before)
            raise
        tools.host_ports.keep_only(owner, chosen)
        await tools.loopback.set(owner, self._led_to(chosen))
        await tools.links.forget_flows(stale_flows(before, chosen))
        return chosen

    def _led_to(self, ports: Iterable[PublishedPort]) -> frozenset[str]:
        """The links behind which the backends of `ports` are."""
        return frozenset(
            self._ports[id_].link for id_ in networks_of(self._bridges.values(), ports)
        )

    async def unpublish(self, owner: str) -> None:
        tools = self._tools
        before = tools.firewall.published(owner)
        await tools.firewall.set_ports(owner, ())
        tools.host_ports.keep_only(owner, ())
        await tools.loopback.set(owner, frozenset())
        await tools.links.forget_flows(stale_flows(before, ()))

    async def set_virtual_addresses(
        self, sandbox_id: str, addresses: tuple[VirtualAddress, ...]
    ) -> None:
        tools = self._tools
        path = self.netns_path(self._sandbox(sandbox_id).id)
        wanted = {each.address: each.backends for each in addresses}
        await tools.rules.run(tools.sandbox_rules.set_virtual, sandbox_id, path, wanted)

    # -- after a restart ------------------------------------------------------------------------

    async def discover(self) -> Inventory:
        return await self._tools.links.discover()

    async def repair(
        self,
        bridges: Collection[Bridge],
        sandboxes: Collection[Sandbox],
        published: Mapping[str, tuple[PublishedPort, ...]],
    ) -> Mapping[str, SkepError]:
        failed: dict[str, SkepError] = {}
        wanted = {sandbox.id for sandbox in sandboxes}
        self._forget_all_but(wanted, published)
        for bridge in bridges:
            try:
                await self._make_bridge(bridge)
            except SkepError as error:
                failed[bridge.id] = error
        await self._remove_strangers(wanted)
        claimed = {}
        for owner, ports in published.items():
            try:
                claimed[owner] = self._tools.host_ports.reserve(owner, ports)
            except SkepError as error:
                failed[owner] = error
        await self._write_rules(claimed)
        await self._tools.loopback.replace(
            {port.link for port in self._ports.values()},
            {owner: self._led_to(ports) for owner, ports in claimed.items()},
        )
        await self._open_passage()
        for sandbox in sandboxes:
            try:
                await self.create_sandbox(sandbox)
            except SkepError as error:
                failed[sandbox.id] = error
        return failed

    def _forget_all_but(self, sandboxes: Collection[str], owners: Collection[str]) -> None:
        """What this process knows, not what the kernel has."""
        self._bridges.clear()
        self._ports.clear()
        for sandbox_id in self._sandboxes.keys() - set(sandboxes):
            self._forget_sandbox(sandbox_id)
        self._tools.host_ports.release_others(owners)

    async def _remove_strangers(self, sandboxes: Collection[str]) -> None:
        """Remove from the kernel what is neither a bridge that we know nor one of `sandboxes`."""
        found = await self._tools.links.discover()
        await self._tools.links.remove_strangers(found, sandboxes)
        await self._tools.links.delete_bridges(found.bridges - self._bridges.keys())

    async def clear(self) -> None:
        self._forget_all_but((), ())
        await self._remove_strangers(())
        await self._tools.firewall.remove()
        await self._tools.passage.run(close_passage, self._names.table, self._tools.nft.run)
        await self._tools.links.remove_directory()


def _without(sandbox: Sandbox, network_id: str) -> tuple[Attachment, ...]:
    return tuple(each for each in sandbox.attachments if each.network_id != network_id)
