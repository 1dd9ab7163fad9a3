"""A container's record spoken to the networks: addresses, its sandbox, its ports, its names."""

from __future__ import annotations

from msgspec.structs import replace

from skep.engine.containers.base import Base
from skep.engine.containers.container import Container
from skep.engine.containers.ports import published_ports
from skep.engine.containers.preparation import Surroundings
from skep.engine.containers.record import Record
from skep.engine.networks.endpoint import EndpointRecord, attachment_of
from skep.engine.networks.networks import Networks
from skep.engine.networks.record import HOST, NONE, NetworkRecord
from skep.kit.errors import Conflict, Forbidden, Internal
from skep.model.container import EndpointSettings
from skep.network.host import HostNetwork
from skep.network.names import free_ifname
from skep.network.values import PublishedPort, Resolver, Sandbox

CONTAINER_MODE = "container:"


class ContainerLinks:
    def __init__(self, base: Base, networks: Networks, host: HostNetwork) -> None:
        self._base = base
        self._networks = networks
        self._host = host

    # At the start

    def join(self, record: Record) -> Record:
        """The record with an address on each of its networks; nothing is taken when it raises."""
        joined: list[EndpointRecord] = []
        try:
            for number, endpoint in enumerate(record.endpoints):
                joined.append(
                    self._networks.join(
                        endpoint,
                        container_id=record.id,
                        container_name=record.name,
                        ifname=f"eth{number}",
                    )
                )
            linked = replace(record, endpoints=tuple(joined))
            return replace(linked, ports=self._wanted_ports(linked))
        except BaseException:
            for endpoint in joined:
                self._networks.leave(record.id, endpoint.network_id)
            raise

    def _wanted_ports(self, record: Record) -> tuple[PublishedPort, ...]:
        """Ports lead to the first endpoint; without one there is nothing to lead to."""
        addresses = addresses_of(record)[:1]
        return published_ports(record.wanted_ports, addresses) if addresses else ()

    def surroundings(self, record: Record) -> Surroundings:
        """Raises Conflict when a container whose namespaces are to be shared does not run."""
        mode, pid_mode = record.host_config.network_mode, record.host_config.pid_mode
        pid_namespace_of = None
        if pid_mode.startswith(CONTAINER_MODE):
            pid_namespace_of = self._partner(pid_mode, "PID").id
        if mode.startswith(CONTAINER_MODE):
            partner = self._partner(mode, "network")
            return Surroundings(
                netns=self._netns(partner.record),
                pid_namespace_of=pid_namespace_of,
                files_of=partner.id,
            )
        return Surroundings(
            netns=self._netns(record),
            pid_namespace_of=pid_namespace_of,
            names_resolved=self._resolves(record),
            addresses=addresses_of(record),
            host_gateway=self._host_gateway(),
        )

    def _partner(self, mode: str, what: str) -> Container:
        partner = self._base.registry.find(mode.removeprefix(CONTAINER_MODE))
        if not partner.running:
            raise Conflict(f"cannot join {what} namespace of a non running container: {partner.id}")
        return partner

    def _netns(self, record: Record) -> str | None:
        mode = record.host_config.network_mode
        if mode == HOST:
            return None
        if mode.startswith(CONTAINER_MODE):
            return self._netns(self._partner(mode, "network").record)
        return str(self._host.netns_path(record.id))

    def _resolves(self, record: Record) -> bool:
        return self._networks.resolves_names(each.network_id for each in record.endpoints)

    def _host_gateway(self) -> str:
        return self._base.settings.host_gateway_ip or self._networks.default_gateway()

    async def plug_in(self, record: Record) -> None:
        """Make the sandbox, when it has one of its own."""
        if has_sandbox(record):
            await self._host.create_sandbox(self.sandbox_of(record))

    def sandbox_of(self, record: Record) -> Sandbox:
        host = record.host_config
        upstreams = tuple(host.dns or self._base.settings.dns)
        return Sandbox(
            id=record.id,
            attachments=tuple(attachment_of(each) for each in record.endpoints),
            resolver=Resolver(upstreams=upstreams) if self._resolves(record) else None,
        )

    async def publish(self, record: Record) -> tuple[PublishedPort, ...]:
        """Publish; the ports with those that were chosen."""
        if not record.ports:
            return ()
        try:
            return await self._host.publish(record.id, record.ports)
        except Conflict as error:
            raise Internal(
                "failed to set up container networking: driver failed programming external"
                f" connectivity on endpoint {record.name}"
                f" ({record.endpoints[0].endpoint_id}): {error}"
            ) from None

    # At the end

    async def unpublish(self, record: Record) -> None:
        if record.ports:
            await self._host.unpublish(record.id)

    async def unplug(self, record: Record) -> None:
        if has_sandbox(record):
            await self._host.remove_sandbox(record.id)

    def leave(self, record: Record) -> None:
        for endpoint in record.endpoints:
            self._networks.leave(record.id, endpoint.network_id)

    # While it runs, or not

    async def connect(
        self, container: Container, network: NetworkRecord, wish: EndpointSettings
    ) -> None:
        """One more network. The turn is held; the caller writes the record."""
        record = container.record
        if not has_sandbox(record) or record.host_config.network_mode == NONE:
            raise Forbidden(
                "container sharing network namespace with another container or host"
                " cannot be connected to any other network"
            )
        if any(each.network_id == network.id for each in record.endpoints):
            raise Forbidden(
                f"endpoint with name {record.name} already exists in network {network.name}"
            )
        endpoint = EndpointRecord(network_id=network.id, network_name=network.name, wish=wish)
        if container.running:
            endpoint = self._networks.join(
                endpoint,
                container_id=record.id,
                container_name=record.name,
                ifname=free_ifname(each.ifname for each in record.endpoints),
            )
            try:
                await self._host.connect(record.id, attachment_of(endpoint))
            except BaseException:
                self._networks.leave(record.id, network.id)
                raise
        container.record = replace(record, endpoints=(*record.endpoints, endpoint))

    async def disconnect(self, container: Container, network: NetworkRecord) -> None:
        """One network less. Raises Forbidden when the container is not on it."""
        record = container.record
        rest = tuple(each for each in record.endpoints if each.network_id != network.id)
        if len(rest) == len(record.endpoints):
            raise Forbidden(f"container {record.id} is not connected to network {network.name}")
        if container.running:
            await self._host.disconnect(record.id, network.id)
            self._networks.leave(record.id, network.id)
        container.record = replace(record, endpoints=rest)

    # After a restart of the engine

    def adopt(self, record: Record) -> None:
        for endpoint in record.endpoints:
            self._networks.adopt(endpoint, container_id=record.id, container_name=record.name)


def unlinked(record: Record) -> Record:
    """The record without what was given for one run."""
    endpoints = tuple(
        EndpointRecord(
            network_id=each.network_id,
            network_name=each.network_name,
            wish=each.wish,
            assigned=each.assigned,
        )
        for each in record.endpoints
    )
    return replace(record, endpoints=endpoints, ports=())


def has_sandbox(record: Record) -> bool:
    """A network namespace of its own: not the host's, not another container's."""
    mode = record.host_config.network_mode
    return mode != HOST and not mode.startswith(CONTAINER_MODE)


def addresses_of(record: Record) -> tuple[str, ...]:
    """Without prefix lengths."""
    return tuple(
        address.partition("/")[0]
        for each in record.endpoints
        for address in (each.address, each.address6)
        if address
    )
