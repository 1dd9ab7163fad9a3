"""Networks of this node as objects, and what the cluster's networks are here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from skep.model.container import EndpointSettings
from skep.model.network import Network, NetworkCreate, NetworkResource
from skep.model.service import Protocol

Filters = Mapping[str, Collection[str]]


class ServicePort(msgspec.Struct, frozen=True, order=True):
    """A port of this node that a service is reached at."""

    protocol: Protocol
    published_port: int


class ServiceBackend(msgspec.Struct, frozen=True, order=True):
    """Where it leads: a task's address on this host, and the port it listens on."""

    address: str
    target_port: int


class Networks:
    """Local networks (bridge, host, none) with docker's calls; cluster networks as the agent says.

    A cluster network that this node takes part in is listed, inspected and joined by name like a
    local one; only the agent makes, renames and removes it.
    """

    # Docker's calls

    async def create(self, options: NetworkCreate) -> str:
        """Make a user network; returns its id.

        Raises Conflict (name taken), Forbidden (predefined, overlapping), InvalidArgument,
        NotFound (driver).
        """
        raise NotImplementedError

    async def list(self, filters: Filters | None = None) -> list[NetworkResource]:
        """Filters: dangling, driver, id, label, name, scope, type (builtin, custom)."""
        raise NotImplementedError

    async def inspect(self, name: str) -> NetworkResource:
        """By id, name or unique id prefix; with the containers on it. Raises NotFound."""
        raise NotImplementedError

    async def remove(self, name: str) -> None:
        """Raises NotFound, or Forbidden when it is predefined or has active endpoints."""
        raise NotImplementedError

    async def prune(self, filters: Filters | None = None) -> list[str]:
        """Remove networks that no container is on; names. Filters: label, label!, until."""
        raise NotImplementedError

    async def connect(
        self, name: str, container: str, settings: EndpointSettings | None = None
    ) -> None:
        """Put a container on one more network, now when it runs, else from its next start on."""
        raise NotImplementedError

    async def disconnect(self, name: str, container: str, *, force: bool = False) -> None:
        """Take it off. Raises Forbidden when it is not on it."""
        raise NotImplementedError

    # The cluster's, said by the agent

    async def ensure_cluster_network(self, network: Network) -> None:
        """Make this node take part in a cluster network (a bridge of this node for now).

        Endpoints on it are never given addresses by the engine: the container's EndpointSettings
        must carry `ipam_config.ipv4_address`, which the manager gave. Again with other words:
        changed to that.
        """
        raise NotImplementedError

    async def remove_cluster_network(self, network_id: str) -> None:
        """Take no part any more; one that is not there is fine. Conflict when it has endpoints."""
        raise NotImplementedError

    def set_names(self, network_id: str, names: Mapping[str, Sequence[str]]) -> None:
        """All names that resolve on a cluster network besides its local containers': services,
        `tasks.<service>`, aliases of tasks elsewhere. Replaces what was said before."""
        raise NotImplementedError

    async def publish(self, ports: Mapping[ServicePort, tuple[ServiceBackend, ...]]) -> None:
        """Make these all the service ports that this node answers at.

        Raises Conflict `Bind for 0.0.0.0:x failed: port is already allocated` for those that
        cannot be had (the others are made).
        """
        raise NotImplementedError
