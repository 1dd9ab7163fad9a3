"""Networks of this node as objects, and what the cluster's networks are here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from skep.engine.events import Events
from skep.engine.networks.creation import settle
from skep.engine.networks.endpoint import EndpointRecord, attachment_of, dns_names
from skep.engine.networks.endpoint import resource_of as endpoint_resource
from skep.engine.networks.members import Member, Members
from skep.engine.networks.predefined import predefined
from skep.engine.networks.record import (
    DEFAULT_BRIDGE,
    PREDEFINED,
    NetworkFolder,
    NetworkRecord,
    bridge_of,
    cluster_record,
    resource_of,
)
from skep.engine.networks.services import ServicePorts
from skep.engine.settings import EngineSettings
from skep.kit.clock import utc_now
from skep.kit.errors import Conflict, Forbidden, InvalidArgument, NotFound, SkepError
from skep.kit.ids import new_container_id
from skep.kit.meant import meant
from skep.kit.where import Where, anything
from skep.model.network import Network, NetworkCreate, NetworkResource
from skep.network.host import HostNetwork
from skep.network.names import attachment_mac
from skep.network.values import Bridge, Zone


class Networks:
    """Local networks (bridge, host, none) with docker's calls; cluster networks as the agent says.

    A cluster network that this node takes part in is listed, inspected and joined by name like a
    local one; only the agent makes, renames and removes it. `service_ports` are the agent's too.
    """

    def __init__(self, settings: EngineSettings, host: HostNetwork, events: Events) -> None:
        self._settings = settings
        self._host = host
        self._events = events
        self._folder = NetworkFolder(settings.data_root / "networks")
        self._members: dict[str, Members] = {}
        self.service_ports = ServicePorts(host, settings.exec_root / "service-ports.json")
        self._making = asyncio.Lock()

    # Docker's calls

    async def create(self, options: NetworkCreate) -> str:
        """Make a user network; returns its id.

        Raises Conflict (name taken), Forbidden (predefined, overlapping), InvalidArgument,
        NotFound (driver), Unimplemented.
        """
        async with self._making:
            if any(m.network.name == options.name for m in self._members.values()):
                raise Conflict(f"network with name {options.name} already exists")
            record = settle(
                options,
                new_container_id(),
                utc_now(),
                pools=self._settings.address_pools,
                taken=await self._taken_subnets(),
            )
            await self._make(record)
        self._tell(record, "create")
        return record.id

    async def inspect(self, name: str) -> NetworkResource:
        """By id, name or unique id prefix; with the containers on it. Raises NotFound."""
        return self._resource(self.find(name))

    async def remove(self, name: str) -> None:
        """Raises NotFound, or Forbidden when it is predefined or has active endpoints."""
        async with self._making:
            record = self.find(name)
            if record.name in PREDEFINED:
                raise Forbidden(f"{record.name} is a pre-defined network and cannot be removed")
            if record.scope == "swarm":
                raise Forbidden(f"network {record.name} is the cluster's: remove it on a manager")
            self._refuse_active(record)
            await self._unmake(record)
        self._tell(record, "destroy")

    async def prune(self, where: Where[NetworkResource] = anything) -> list[str]:
        """Remove networks of this node that no container is on; names."""
        removed = []
        async with self._making:
            for members in list(self._members.values()):
                network = members.network
                if network.scope != "swarm" and _dangles(members) and where(_outline(network)):
                    await self._unmake(network)
                    removed.append(network)
        for record in removed:
            self._tell(record, "destroy")
        return [record.name for record in removed]

    async def list(
        self, where: Where[NetworkResource] = anything, *, dangling: bool | None = None
    ) -> list[NetworkResource]:
        """Oldest first, without their containers; those that no container is on, or the others,
        when that is asked."""
        rows = [
            row
            for members in self._members.values()
            if dangling in (None, _dangles(members)) and where(row := _outline(members.network))
        ]
        return sorted(rows, key=lambda row: row.created)

    # The cluster's, said by the agent

    async def ensure_cluster_network(self, network: Network) -> None:
        """Make this node take part in a cluster network (a bridge of this node for now).

        Endpoints on it are never given addresses by the engine: the container's EndpointSettings
        must carry `ipam_config.ipv4_address`, which the manager gave. Again with other words:
        changed to that.
        """
        record = cluster_record(network)
        async with self._making:
            known = self._members.get(record.id)
            if known is not None and known.network == record:
                return
            await asyncio.to_thread(self._folder.write, record)
            await self._host.ensure_bridge(bridge_of(record))
            members = Members(record)
            for member in known or ():
                members.adopt(member)
            self._members[record.id] = members
            self._tell_zone(members)

    async def remove_cluster_network(self, network_id: str) -> None:
        """Take no part any more; one that is not there is fine. Conflict when it has endpoints."""
        async with self._making:
            members = self._members.get(network_id)
            if members is None:
                return
            if len(members):
                raise Conflict(f"network {members.network.name} has active endpoints")
            await self._unmake(members.network)

    def set_names(self, network_id: str, names: Mapping[str, Sequence[str]]) -> None:
        """All names that resolve on a cluster network besides its local containers': services,
        `tasks.<service>`, aliases of tasks elsewhere. Replaces what was said before."""
        members = self._members.get(network_id)
        if members is None:
            raise NotFound(f"network {network_id} not found")
        members.set_services(names)
        self._tell_zone(members)

    # For the containers

    def find(self, name: str) -> NetworkRecord:
        """By id, name or unique id prefix. Raises NotFound, InvalidArgument when not unique."""
        if name == "default":
            name = DEFAULT_BRIDGE
        records = [members.network for members in self._members.values()]
        found = meant(
            name,
            lambda word: [record for record in records if record.id == word],
            lambda word: [record for record in records if record.name == word],
            lambda word: [record for record in records if record.id.startswith(word)],
        )
        if len(found) > 1:
            raise InvalidArgument(f"network {name} is ambiguous ({len(found)} matches found)")
        if not found:
            raise NotFound(f"network {name} not found")
        return found[0]

    def join(
        self, endpoint: EndpointRecord, *, container_id: str, container_name: str, ifname: str
    ) -> EndpointRecord:
        """Give a container that starts its addresses; from now on its names resolve, and the
        network cannot be removed.

        Raises NotFound when the network is gone, and what `Members.given` raises.
        """
        record = self._still_there(endpoint)
        members = self._members[record.id]
        given = members.given(endpoint, new_container_id(), ifname)
        given = replace(given, mac=attachment_mac(attachment_of(given)))
        member = Member(
            container_id, container_name, given, dns_names(given, container_id, container_name)
        )
        changed = members.add(member)
        if record.resolves_names:
            self._host.update_names(record.id, changed)
        self._tell(record, "connect", container=container_id)
        return given

    def _still_there(self, endpoint: EndpointRecord) -> NetworkRecord:
        """By id; a network that was made again under the same name serves as well."""
        members = self._members.get(endpoint.network_id)
        return self.find(endpoint.network_name) if members is None else members.network

    def leave(self, container_id: str, network_id: str) -> None:
        """Its names go, its addresses are free. One that is no member is fine."""
        members = self._members.get(network_id)
        if members is None or container_id not in members:
            return
        changed = members.drop(container_id)
        if members.network.resolves_names:
            self._host.update_names(network_id, changed)
        self._tell(members.network, "disconnect", container=container_id)

    def adopt(self, endpoint: EndpointRecord, *, container_id: str, container_name: str) -> None:
        """A container that was found running is on this network still."""
        members = self._members.get(endpoint.network_id)
        if members is not None:
            names = dns_names(endpoint, container_id, container_name)
            members.adopt(Member(container_id, container_name, endpoint, names))

    def rename_member(self, container_id: str, new_name: str) -> None:
        """A running container is called otherwise from now on."""
        for members in self._members.values():
            for member in list(members):
                if member.container_id != container_id:
                    continue
                names = dns_names(member.endpoint, container_id, new_name)
                members.add(Member(container_id, new_name, member.endpoint, names))
                self._tell_zone(members)

    def resolves_names(self, network_ids: Iterable[str]) -> bool:
        """Whether a container on these networks gets a resolver."""
        return any(
            id_ in self._members and self._members[id_].network.resolves_names
            for id_ in network_ids
        )

    def default_gateway(self) -> str:
        """The host's own address on the default bridge."""
        config = self.find(DEFAULT_BRIDGE).ipam.config
        return config[0].gateway if config else ""

    # Start

    async def load(self) -> None:
        """Read what there is; make the predefined ones that are missing."""
        for record in await asyncio.to_thread(lambda: list(self._folder.load())):
            try:
                bridge_of(record)
                self._members[record.id] = Members(record)
            except (SkepError, ValueError) as error:
                await asyncio.to_thread(self._folder.refuse, record, error)
        names = {members.network.name for members in self._members.values()}
        for record in predefined(self._settings, await self._taken_subnets(), utc_now()):
            if record.name not in names:
                await asyncio.to_thread(self._folder.write, record)
                self._members[record.id] = Members(record)

    def bridges(self) -> Sequence[Bridge]:
        """All that this host must have."""
        return [bridge_of(m.network) for m in self._members.values() if m.network.is_bridged]

    def tell_zones(self) -> None:
        """After the host forgot all names."""
        for members in self._members.values():
            self._tell_zone(members)

    # Inside

    async def _make(self, record: NetworkRecord) -> None:
        await asyncio.to_thread(self._folder.write, record)
        try:
            await self._host.ensure_bridge(bridge_of(record))
        except BaseException:
            await asyncio.to_thread(self._folder.remove, record.id)
            raise
        self._members[record.id] = Members(record)
        self._tell_zone(self._members[record.id])

    async def _unmake(self, record: NetworkRecord) -> None:
        await self._host.remove_bridge(record.id)
        self._host.forget_zone(record.id)
        await asyncio.to_thread(self._folder.remove, record.id)
        del self._members[record.id]

    async def _taken_subnets(self) -> Sequence[str]:
        ours = [c.subnet for m in self._members.values() for c in m.network.ipam.config]
        return [*ours, *await self._host.occupied_subnets()]

    def _refuse_active(self, record: NetworkRecord) -> None:
        active = " ".join(
            f'name:"{member.container_name}" id:"{member.endpoint.endpoint_id[:12]}"'
            for member in self._members[record.id]
        )
        if active:
            raise Forbidden(
                f"error while removing network: network {record.name} id {record.id}"
                f" has active endpoints ({active})"
            )

    def _tell_zone(self, members: Members) -> None:
        if members.network.resolves_names:
            zone = Zone(name=members.network.name, names=members.lookup())
            self._host.set_zone(members.network.id, zone)

    def _resource(self, record: NetworkRecord) -> NetworkResource:
        containers = {
            member.container_id: endpoint_resource(member.endpoint, member.container_name)
            for member in self._members[record.id]
        }
        return resource_of(record, containers)

    def _tell(self, record: NetworkRecord, action: str, **attributes: str) -> None:
        """Of this node's part in it: of its own networks the cluster tells itself."""
        self._events.emit(
            "network",
            action,
            record.id,
            {"name": record.name, "type": record.driver, **attributes},
        )


def _outline(record: NetworkRecord) -> NetworkResource:
    return resource_of(record, {})


def _dangles(members: Members) -> bool:
    return not len(members) and members.network.name not in PREDEFINED
