"""Networks: this node's own and, on a manager, the cluster's, as one list.

A cluster network in which this node takes part is known to both rooms: the cluster says what it is,
the node which of its containers are on it.
"""

from __future__ import annotations

import contextlib

import msgspec

from skep.kit.errors import Conflict, InvalidArgument, NoCluster, NotFound
from skep.kit.meant import meant
from skep.kit.where import Where, anything
from skep.manager.control import Control
from skep.model.container import EndpointSettings
from skep.model.network import NetworkCreate, NetworkResource, as_resource
from skep.node.node import Node


class Networks:
    """Networks by id, name or id prefix (`reference`)."""

    def __init__(self, node: Node) -> None:
        self._local = node.engine.networks
        self._containers = node.engine.containers
        self._control = node.control

    async def find(
        self, where: Where[NetworkResource] = anything, *, dangling: bool | None = None
    ) -> list[NetworkResource]:
        """The cluster's networks first, then those that only this node has.

        A manager knows which networks the cluster has: one that was removed may be on this node
        still, until its last task has stopped.
        """
        local = await self._local.list(where, dangling=dangling)
        if self._control is None:
            return local
        used = None if dangling is None else not dangling
        clusters = map(as_resource, self._control.networks.find(used=used))
        return [network for network in clusters if where(network)] + [
            network for network in local if network.scope != "swarm"
        ]

    async def get(self, reference: str, scope: str = "") -> NetworkResource:
        """The one that is meant, among those of that scope; with the containers of this node.

        In the scope of the swarm every node's own `host` and `bridge` have their part, too:
        services name them. Raises NotFound, InvalidArgument when several could be meant.
        """
        network = await self._choose(reference, scope)
        try:
            here = await self._local.inspect(network.id)
        except NotFound:
            return network
        return msgspec.structs.replace(network, containers=here.containers)

    async def create(self, wish: NetworkCreate) -> str:
        """Make it here or, as its driver or scope has it, in the cluster; its id.

        Raises Conflict when the name is taken in either, NoCluster where the cluster is not to be
        had.
        """
        if await self.find(lambda network: network.name == wish.name):
            raise Conflict(f"network with name {wish.name} already exists")
        if wish.driver == "overlay" or wish.scope == "swarm" or wish.ingress:
            return await self._cluster().networks.create(wish)
        return await self._local.create(wish)

    async def remove(self, reference: str) -> None:
        network = await self._choose(reference)
        if network.scope == "swarm":
            await self._cluster().networks.remove(network.id)
        else:
            await self._local.remove(network.id)

    async def connect(
        self, reference: str, container: str, settings: EndpointSettings | None
    ) -> None:
        network = await self._choose(reference)
        await self._containers.connect(container, network.id, settings)

    async def disconnect(self, reference: str, container: str, *, force: bool) -> None:
        network = await self._choose(reference)
        await self._containers.disconnect(container, network.id, force=force)

    async def prune(self, where: Where[NetworkResource]) -> list[str]:
        """Remove what nobody uses, here and in the cluster; the names. The ingress network goes
        only by its name."""
        pruned = await self._local.prune(where)
        if self._control is None:
            return pruned
        for network in self._control.networks.find(used=False):
            if not network.spec.ingress and where(as_resource(network)):
                with contextlib.suppress(InvalidArgument, NotFound):  # used, or gone, since
                    await self._control.networks.remove(network.id)
                    pruned.append(network.spec.name)
        return pruned

    def _cluster(self) -> Control:
        if self._control is None:
            raise NoCluster
        return self._control

    async def _choose(self, reference: str, scope: str = "") -> NetworkResource:
        if scope == "swarm" and self._control is not None:
            return as_resource(self._control.networks.get(reference))
        return choose(await self.find(lambda network: scope in {"", network.scope}), reference)


def choose(networks: list[NetworkResource], reference: str) -> NetworkResource:
    """The one that is meant: by id, then by name, then by the start of an id."""
    found = meant(
        reference,
        lambda word: [network for network in networks if network.id == word],
        lambda word: [network for network in networks if network.name == word],
        lambda word: [network for network in networks if network.id.startswith(word)],
    )
    if not found:
        raise NotFound(f"network {reference} not found")
    if len(found) > 1:
        how = "name" if found[0].name == reference else "ID prefix"
        raise InvalidArgument(
            f"network {reference} is ambiguous ({len(found)} matches found based on {how})"
        )
    return found[0]
