"""The host's links and namespaces, asked for from the event loop and made in one worker thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from skep.kit.batch import Batch
from skep.network import bridges, links, netns
from skep.network.conntrack import Flows, forget
from skep.network.names import Names
from skep.network.netlink import NETLINK_NETFILTER, Netlink
from skep.network.sandboxes import BridgePort, SandboxMaker
from skep.network.values import Bridge, Inventory, Sandbox

T = TypeVar("T")


class HostThread:
    """One worker thread at home in the host's namespace: what it runs, it runs there, in order."""

    def __init__(self, name: str, home: int) -> None:
        self._pool = ThreadPoolExecutor(1, f"network-{name}", netns.enter, (home,))

    async def run(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    def stop(self) -> None:
        self._pool.shutdown()


class HostLinks:
    """Bridges, and sandboxes with what is plugged into them.

    home        the host's namespace.
    directory   where sandboxes' namespaces are bound.
    """

    def __init__(self, home: int, directory: Path, names: Names) -> None:
        self._home = home
        self._directory = directory
        self._names = names
        self._thread = HostThread("links", home)
        self._doomed: dict[str, frozenset[str] | None] = {}
        self._removal = Batch(self._remove_doomed)

    async def open(self) -> None:
        await self._thread.run(self._open)

    def _open(self) -> None:
        netns.prepare_directory(self._directory)
        self._netlink, self._conntrack = Netlink(), Netlink(NETLINK_NETFILTER)
        self._maker = SandboxMaker(self._home, self._netlink, self._names)

    async def close(self) -> None:
        await self._thread.run(self._netlink.close)
        await self._thread.run(self._conntrack.close)
        self._thread.stop()

    def path(self, sandbox_id: str) -> Path:
        return self._directory / sandbox_id

    # -- bridges --------------------------------------------------------------------------------

    async def ensure_bridge(self, bridge: Bridge) -> BridgePort:
        return await self._thread.run(bridges.ensure_bridge, self._netlink, self._names, bridge)

    async def found_bridges(self) -> dict[str, str]:
        """Network id -> link name."""
        return await self._thread.run(bridges.found_bridges, self._netlink, self._names)

    async def delete_bridges(self, network_ids: Collection[str]) -> None:
        found = await self.found_bridges()
        doomed = [links.delete_link(name) for id_, name in found.items() if id_ in network_ids]
        await self._thread.run(self._netlink.apply, *doomed)

    async def not_forwarded(self, versions: Collection[int]) -> list[int]:
        """Those of the IP versions that the host is no router for."""
        return await self._thread.run(lambda: [v for v in versions if not bridges.forwards(v)])

    async def forward(self, versions: Collection[int]) -> None:
        for version in versions:
            await self._thread.run(bridges.forward, version)

    async def lead_loopback(self, leads: Mapping[str, bool]) -> None:
        await self._thread.run(bridges.lead_loopback, leads)

    async def occupied_subnets(self) -> tuple[str, ...]:
        return await self._thread.run(bridges.occupied_subnets, self._netlink, self._names)

    # -- sandboxes ------------------------------------------------------------------------------

    async def create(self, sandbox: Sandbox, ports: dict[str, BridgePort]) -> bool:
        """See SandboxMaker.create."""
        path = self.path(sandbox.id)
        return await self._thread.run(self._maker.create, path, sandbox, ports)

    async def unplug(self, sandbox: Sandbox, network_id: str) -> None:
        """See SandboxMaker.unplug."""
        path = self.path(sandbox.id)
        await self._thread.run(self._maker.unplug, path, sandbox, network_id)

    async def remove(self, sandbox_id: str, sandbox: Sandbox | None) -> None:
        """Remove it, together with others that are removed at this time.

        sandbox   None: what is plugged into it is not known; the kernel will say.
        """
        names = None
        if sandbox is not None:
            attachments = sandbox.attachments
            names = frozenset(self._names.veth(sandbox_id, each.network_id) for each in attachments)
        self._doomed[sandbox_id] = names
        await self._removal.join()

    async def remove_strangers(self, found: Inventory, wanted: Collection[str]) -> None:
        """Remove every sandbox, and every link of a sandbox, that is not `wanted`."""
        owners = await self._thread.run(self._found_veths)
        strangers = (found.sandboxes | owners.keys()) - set(wanted)
        await self._thread.run(self._remove_now, dict.fromkeys(strangers))

    async def _remove_doomed(self) -> None:
        doomed, self._doomed = self._doomed, {}
        await self._thread.run(self._remove_now, doomed)

    def _remove_now(self, doomed: Mapping[str, frozenset[str] | None]) -> None:
        """Sandboxes with the names of their links, or None where those are not known."""
        found = self._found_veths() if None in doomed.values() else {}
        self._maker.remove(
            (self.path(id_), found.get(id_, ()) if names is None else names)
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

    # -- the rest -------------------------------------------------------------------------------

    async def discover(self) -> Inventory:
        bridge_ids = await self.found_bridges()
        sandbox_ids = await self._thread.run(self._found_sandboxes)
        return Inventory(bridges=frozenset(bridge_ids), sandboxes=frozenset(sandbox_ids))

    def _found_sandboxes(self) -> list[str]:
        if not self._directory.is_dir():
            return []
        return [path.name for path in self._directory.iterdir()]

    async def forget_flows(self, stale: Collection[Flows]) -> None:
        requests = [request for flows in stale for request in forget(flows)]
        if requests:
            await self._thread.run(self._conntrack.apply, *requests)

    async def remove_directory(self) -> None:
        await self._thread.run(netns.remove_directory, self._directory)
