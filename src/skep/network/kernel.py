"""The real HostNetwork: namespaces and links by netlink, rules by nftables, names by our resolver.

Two worker threads, both at home in the host's namespace: one for links and namespaces, one for
rules. The event loop only waits for them; nothing here forks, but for firewalls of other programs
(`passage.py`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from skep.kit.batch import Batch
from skep.kit.errors import Conflict, InvalidArgument, NotFound, SkepError
from skep.network import bridges as bridge_links
from skep.network import links, netns
from skep.network.conntrack import Flows, forget, stale_flows
from skep.network.firewall import Firewall
from skep.network.names import Names
from skep.network.netlink import NETLINK_NETFILTER, Netlink
from skep.network.nft import Nft
from skep.network.passage import close_passage, open_passage
from skep.network.ports import HostPorts
from skep.network.resolver import Client, Resolvers
from skep.network.rules import IPV4, IPV6, BridgeRules, bridge_rules
from skep.network.sandboxes import Port, SandboxMaker
from skep.network.translation import SandboxRules
from skep.network.upstream import Forwarder
from skep.network.values import (
    Attachment,
    Bridge,
    Found,
    PublishedPort,
    Sandbox,
    VirtualAddress,
    Zone,
)

T = TypeVar("T")

_log = logging.getLogger(__name__)
_PASSAGE_CHECK_S = 30
_SUFFIX = re.compile(r"[a-z0-9]*")


class KernelNetwork:
    """See `host.HostNetwork`.

    exec_root   where this instance keeps what does not outlive a boot.
    suffix      tells instances on one host apart: a few characters of [a-z0-9].
    resolv_conf names the servers that sandboxes' questions go to in the end.
    """

    def __init__(
        self,
        exec_root: Path,
        suffix: str = "",
        resolv_conf: Path = Path("/etc/resolv.conf"),
    ) -> None:
        if not _SUFFIX.fullmatch(suffix):
            raise InvalidArgument(f'invalid instance suffix "{suffix}": use a-z and 0-9')
        self._names = Names(suffix)
        self._directory = exec_root / "netns"
        self._resolv_conf = resolv_conf
        self._bridges: dict[str, Bridge] = {}
        self._ports: dict[str, Port] = {}
        self._sandboxes: dict[str, Sandbox] = {}
        self._doomed: dict[str, frozenset[str] | None] = {}
        self._removal = Batch(self._remove_doomed)
        self._watch: asyncio.Task[None] | None = None

    # -- start and stop -------------------------------------------------------------------------

    async def open(self) -> None:
        self._home = netns.open_own()
        self._link_thread = self._thread("links")
        self._rule_thread = self._thread("rules")
        await self._on(self._link_thread, self._open_links)
        self._nft = await self._on(self._rule_thread, Nft)
        families = (IPV4, IPV6) if Path("/proc/sys/net/ipv6").exists() else (IPV4,)
        self._firewall = Firewall(families, self._names.table, self._run_nft)
        self._sandbox_rules = SandboxRules()
        self._host_ports = HostPorts(self._home)
        self._resolvers = Resolvers(Forwarder(self._home, self._resolv_conf))
        self._watch = asyncio.create_task(self._keep_passage())

    def _thread(self, name: str) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, f"network-{name}", netns.enter, (self._home,))

    def _open_links(self) -> None:
        netns.prepare_directory(self._directory)
        bridge_links.forward_ipv4()
        self._netlink, self._conntrack = Netlink(), Netlink(NETLINK_NETFILTER)
        self._maker = SandboxMaker(self._home, self._netlink, self._names)

    async def close(self) -> None:
        if self._watch is None:
            return
        self._watch.cancel()
        await asyncio.wait({self._watch})
        self._watch = None
        await self._resolvers.close_all()
        self._host_ports.release_others(())
        await self._on(self._link_thread, self._netlink.close)
        await self._on(self._link_thread, self._conntrack.close)
        await self._on(self._rule_thread, self._nft.close)
        self._link_thread.shutdown()
        self._rule_thread.shutdown()
        os.close(self._home)

    async def _on(self, thread: ThreadPoolExecutor, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, work, *args)

    async def _run_nft(self, commands: str) -> str:
        return await self._on(self._rule_thread, self._nft.run, commands)

    # -- bridges --------------------------------------------------------------------------------

    async def ensure_bridge(self, bridge: Bridge) -> None:
        await self._make_bridge(bridge)
        await self._firewall.set_bridges(self._bridge_rules())
        await self._open_passage()

    async def _make_bridge(self, bridge: Bridge) -> None:
        port = await self._on(
            self._link_thread, bridge_links.ensure_bridge, self._netlink, self._names, bridge
        )
        self._bridges[bridge.id], self._ports[bridge.id] = bridge, port

    async def remove_bridge(self, network_id: str) -> None:
        bridge = self._bridges.pop(network_id, None)
        self._ports.pop(network_id, None)
        self._resolvers.zones.forget(network_id)
        if bridge is not None:
            await self._delete_links({self._names.bridge(bridge)})
            await self._firewall.set_bridges(self._bridge_rules())
            await self._open_passage()
        else:
            found = await self._found_bridges()
            await self._delete_links({link for id_, link in found.items() if id_ == network_id})

    async def _delete_links(self, names: Collection[str]) -> None:
        await self._on(
            self._link_thread, self._netlink.apply, *(links.delete_link(name) for name in names)
        )

    def _bridge_rules(self) -> dict[str, BridgeRules]:
        return {
            id_: bridge_rules(bridge, self._names.bridge(bridge))
            for id_, bridge in self._bridges.items()
        }

    async def occupied_subnets(self) -> tuple[str, ...]:
        return await self._on(
            self._link_thread, bridge_links.occupied_subnets, self._netlink, self._names
        )

    # -- other programs' firewalls --------------------------------------------------------------

    async def _open_passage(self) -> None:
        """A firewall that we cannot open is reported, and stops nothing here."""
        chosen = {b.link for b in self._bridges.values() if b.link}
        derived = {f"{self._names.bridge_prefix}+"} if self._bridges else set()
        patterns = sorted(chosen | derived)
        try:
            await self._on(
                self._rule_thread, open_passage, patterns, self._names.table, self._nft.run
            )
        except SkepError as error:
            _log.warning("cannot open another program's firewall for containers: %s", error)

    async def _keep_passage(self) -> None:
        """A firewall may start after us, or be reloaded."""
        while True:
            await asyncio.sleep(_PASSAGE_CHECK_S)
            await self._open_passage()

    # -- sandboxes ------------------------------------------------------------------------------

    def netns_path(self, sandbox_id: str) -> Path:
        return self._directory / sandbox_id

    async def create_sandbox(self, sandbox: Sandbox) -> None:
        ports = self._ports_of(sandbox)
        path = self.netns_path(sandbox.id)
        self._sandboxes[sandbox.id] = sandbox
        if await self._on(self._link_thread, self._maker.create, path, sandbox, ports):
            self._sandbox_rules.born(sandbox.id)
        await self._open_resolver(sandbox)

    def _ports_of(self, sandbox: Sandbox) -> dict[str, Port]:
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
        sandbox = _with_attachments(before, (*others, attachment))
        ports = self._ports_of(sandbox)
        self._sandboxes[sandbox_id] = sandbox
        path = self.netns_path(sandbox_id)
        await self._on(self._link_thread, self._maker.create, path, sandbox, ports)
        await self._open_resolver(sandbox)

    async def disconnect(self, sandbox_id: str, network_id: str) -> None:
        before = self._sandbox(sandbox_id)
        sandbox = _with_attachments(before, _without(before, network_id))
        self._sandboxes[sandbox_id] = sandbox
        path = self.netns_path(sandbox_id)
        await self._on(self._link_thread, self._maker.unplug, path, sandbox, network_id)
        await self._open_resolver(sandbox)

    def _sandbox(self, sandbox_id: str) -> Sandbox:
        try:
            return self._sandboxes[sandbox_id]
        except KeyError:
            raise NotFound(f"sandbox {sandbox_id} not found") from None

    async def remove_sandbox(self, sandbox_id: str) -> None:
        self._resolvers.close(sandbox_id)
        self._sandbox_rules.forget(sandbox_id)
        sandbox = self._sandboxes.pop(sandbox_id, None)
        self._doomed[sandbox_id] = None if sandbox is None else frozenset(
            self._names.veth(sandbox_id, each.network_id) for each in sandbox.attachments
        )  # fmt: skip
        await self._removal.join()

    async def _remove_doomed(self) -> None:
        doomed, self._doomed = self._doomed, {}
        await self._on(self._link_thread, self._remove_now, doomed)

    def _remove_now(self, doomed: Mapping[str, frozenset[str] | None]) -> None:
        """Sandboxes with the names of their links; None: a sandbox that only the kernel knows."""
        found = self._found_veths() if None in doomed.values() else {}
        self._maker.remove(
            (self.netns_path(id_), found.get(id_, ()) if names is None else names)
            for id_, names in doomed.items()
        )

    def _found_veths(self) -> dict[str, list[str]]:
        """Sandbox id -> names of its links on the host, as the kernel has them."""
        found: dict[str, list[str]] = {}
        for link in links.all_links(self._netlink):
            if link.name.startswith(self._names.veth_prefix):
                owner = link.alias.removeprefix(self._names.alias_prefix)
                found.setdefault(owner, []).append(link.name)
        return found

    # -- names ----------------------------------------------------------------------------------

    async def _open_resolver(self, sandbox: Sandbox) -> None:
        """Answer at 127.0.0.11, from now on for what the sandbox is attached to."""
        if sandbox.resolver is None:
            return
        forwards = any(not self._bridges[each.network_id].internal for each in sandbox.attachments)
        client = Client(
            networks=tuple(each.network_id for each in sandbox.attachments),
            links=sandbox.resolver.links,
            upstreams=sandbox.resolver.upstreams,
            forwards=forwards,
        )
        if self._resolvers.change(sandbox.id, client):
            return
        path = self.netns_path(sandbox.id)
        sockets = await self._on(
            self._rule_thread, self._sandbox_rules.open_resolver, sandbox.id, path
        )
        await self._resolvers.open(sandbox.id, path, sockets, client)

    def set_zone(self, network_id: str, zone: Zone) -> None:
        self._resolvers.zones.set(network_id, zone)

    def update_names(self, network_id: str, names: Mapping[str, tuple[str, ...]]) -> None:
        self._resolvers.zones.update(network_id, names)

    def forget_zone(self, network_id: str) -> None:
        self._resolvers.zones.forget(network_id)

    # -- published ports and virtual addresses --------------------------------------------------

    async def publish(
        self, owner: str, ports: tuple[PublishedPort, ...]
    ) -> tuple[PublishedPort, ...]:
        before = self._firewall.published(owner)
        chosen = self._host_ports.reserve(owner, ports)
        try:
            await self._firewall.set_ports(owner, chosen)
        except BaseException:
            self._host_ports.keep_only(owner, before)
            raise
        self._host_ports.keep_only(owner, chosen)
        await self._forget_flows(stale_flows(before, chosen))
        return chosen

    async def unpublish(self, owner: str) -> None:
        before = self._firewall.published(owner)
        await self._firewall.set_ports(owner, ())
        self._host_ports.keep_only(owner, ())
        await self._forget_flows(stale_flows(before, ()))

    async def _forget_flows(self, stale: frozenset[Flows]) -> None:
        requests = [request for flows in stale for request in forget(flows)]
        if requests:
            await self._on(self._link_thread, self._conntrack.apply, *requests)

    async def set_virtual_addresses(
        self, sandbox_id: str, addresses: tuple[VirtualAddress, ...]
    ) -> None:
        wanted = {each.address: each.backends for each in addresses}
        path = self.netns_path(self._sandbox(sandbox_id).id)
        await self._on(self._rule_thread, self._sandbox_rules.set_virtual, sandbox_id, path, wanted)

    # -- after a restart ------------------------------------------------------------------------

    async def discover(self) -> Found:
        bridges = await self._found_bridges()
        sandboxes = await asyncio.to_thread(self._found_sandboxes)
        return Found(bridges=frozenset(bridges), sandboxes=frozenset(sandboxes))

    async def _found_bridges(self) -> dict[str, str]:
        return await self._on(
            self._link_thread, bridge_links.found_bridges, self._netlink, self._names
        )

    def _found_sandboxes(self) -> list[str]:
        if not self._directory.is_dir():
            return []
        return [path.name for path in self._directory.iterdir()]

    async def repair(
        self,
        bridges: Collection[Bridge],
        sandboxes: Collection[Sandbox],
        published: Mapping[str, tuple[PublishedPort, ...]],
    ) -> Mapping[str, SkepError]:
        failed: dict[str, SkepError] = {}
        found = await self.discover()
        wanted = {sandbox.id for sandbox in sandboxes}
        self._forget_all_but(wanted, published)
        for bridge in bridges:
            try:
                await self._make_bridge(bridge)
            except SkepError as error:
                failed[bridge.id] = error
        await self._remove_strangers(found, wanted)
        claimed = {}
        for owner, ports in published.items():
            try:
                claimed[owner] = self._host_ports.reserve(owner, ports)
            except SkepError as error:
                failed[owner] = error
        await self._firewall.replace(self._bridge_rules(), claimed)
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
            del self._sandboxes[sandbox_id]
            self._resolvers.close(sandbox_id)
            self._sandbox_rules.forget(sandbox_id)
        self._host_ports.release_others(owners)

    async def _remove_strangers(self, found: Found, wanted: Collection[str]) -> None:
        """Remove bridges and sandboxes that are not known (any more), and lost links."""
        veths = await self._on(self._link_thread, self._found_veths)
        strangers = (found.sandboxes | veths.keys()) - set(wanted)
        await self._on(self._link_thread, self._remove_now, dict.fromkeys(strangers))
        bridges = await self._found_bridges()
        await self._delete_links(
            {link for network_id, link in bridges.items() if network_id not in self._bridges}
        )

    async def clear(self) -> None:
        self._forget_all_but((), ())
        await self._remove_strangers(await self.discover(), set())
        await self._firewall.remove()
        await self._on(self._rule_thread, close_passage, self._names.table, self._nft.run)
        await self._on(self._link_thread, netns.remove_directory, self._directory)


def _without(sandbox: Sandbox, network_id: str) -> tuple[Attachment, ...]:
    return tuple(each for each in sandbox.attachments if each.network_id != network_id)


def _with_attachments(sandbox: Sandbox, attachments: tuple[Attachment, ...]) -> Sandbox:
    return Sandbox(
        id=sandbox.id,
        attachments=attachments,
        resolver=sandbox.resolver,
        sysctls=sandbox.sysctls,
    )
