"""The door to one host's networks: what may be asked of it, whoever does it.

`kernel.KernelNetwork` is the real one, `skep.testing.network.FakeNetwork` the one for tests; both
pass tests/network/test_host_network.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from skep.kit.errors import SkepError
from skep.network.values import (
    Attachment,
    Bridge,
    Inventory,
    PublishedPort,
    Sandbox,
    VirtualAddress,
    Zone,
)


class HostNetwork(Protocol):
    """One host's links, addresses, forwarding rules and resolvers.

    Every method can be called again with the same words and then changes nothing: ask again after
    a crash. Errors are skep.kit.errors kinds; Internal carries the kernel's own words. The host is
    the network namespace in which `open` was called.
    """

    async def open(self) -> None:
        """Start: find what the kernel has. Once, before the rest.

        Raises Unavailable, saying which, when the kernel lacks something that cannot be missed.
        """

    async def close(self) -> None:
        """Stop answering names and let go of host ports; links, sandboxes and rules stay."""

    async def ensure_bridge(self, bridge: Bridge) -> None:
        """Make the bridge exist as described, or change it to that; the host forwards packets.

        Raises Conflict when its link's name is taken on this host, InvalidArgument when it is none.
        """

    async def remove_bridge(self, network_id: str) -> None:
        """Remove it; one that is not there is fine."""

    def netns_path(self, sandbox_id: str) -> Path:
        """Where the sandbox's network namespace is (or will be) bound: `<exec_root>/netns/<id>`."""

    async def create_sandbox(self, sandbox: Sandbox) -> None:
        """Make the namespace with all its interfaces, routes and resolver.

        When this returns, a process may be started in `netns_path`. A sandbox that exists already
        is kept with what is in it, and gets what it lacks.
        Raises NotFound when a network is not there; Conflict when the kernel refuses an address.
        """

    async def connect(self, sandbox_id: str, attachment: Attachment) -> None:
        """Plug one more network into a running sandbox; raises NotFound when either is missing."""

    async def disconnect(self, sandbox_id: str, network_id: str) -> None:
        """Unplug a network from a running sandbox."""

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Remove it; its addresses may be given to others when this returns."""

    async def publish(
        self, owner: str, ports: tuple[PublishedPort, ...]
    ) -> tuple[PublishedPort, ...]:
        """Make `ports` all that `owner` (a sandbox's or a service's id) publishes on this host.

        Returns them with the host ports that were chosen. Ports that stay keep their connections.
        Raises Conflict "Bind for 0.0.0.0:8080 failed: port is already allocated" (all or nothing:
        what the owner published before is then unchanged).
        """

    async def unpublish(self, owner: str) -> None:
        """Publish nothing for `owner` any longer and free its host ports."""

    async def set_virtual_addresses(
        self, sandbox_id: str, addresses: tuple[VirtualAddress, ...]
    ) -> None:
        """Make `addresses` all the virtual addresses that this sandbox can reach."""

    def set_zone(self, network_id: str, zone: Zone) -> None:
        """Replace the names of a network, from now on, in every sandbox attached to it."""

    def update_names(self, network_id: str, names: Mapping[str, tuple[str, ...]]) -> None:
        """Change some names of a network; a name without addresses is forgotten."""

    def forget_zone(self, network_id: str) -> None:
        """Drop a network's names."""

    async def discover(self) -> Inventory:
        """Which of our bridges and sandboxes this host has."""

    async def occupied_subnets(self) -> tuple[str, ...]:
        """Subnets that this host has routes to, our own bridges' left out: not for new networks."""

    async def repair(
        self,
        bridges: Collection[Bridge],
        sandboxes: Collection[Sandbox],
        published: Mapping[str, tuple[PublishedPort, ...]],
    ) -> Mapping[str, SkepError]:
        """After a restart: make exactly these, keep what already is so, remove the rest of ours.

        published   what each owner publishes, host ports chosen. Connections are not disturbed,
                    and there is no moment without the rules.
        Returns what could not be: a sandbox's id, bridge's id or owner -> why. Resolvers answer
        again afterwards; virtual addresses and zones are the caller's to set again.
        """

    async def clear(self) -> None:
        """Remove all of ours from this host: sandboxes, bridges, rules. Then only `close`."""
