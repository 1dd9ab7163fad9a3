"""Who is on a network now: the addresses given, and the names that stand for them. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from skep.engine.networks.endpoint import EndpointRecord
from skep.engine.networks.record import NetworkRecord
from skep.kit.errors import Conflict, Forbidden, InvalidArgument
from skep.kit.pools import AddressRange, parse_subnet
from skep.model.container import EndpointIPAMConfig


class Member(msgspec.Struct, frozen=True):
    """A started container on a network, and the names that it answers to there."""

    container_id: str
    container_name: str
    endpoint: EndpointRecord
    names: tuple[str, ...]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Without prefix lengths."""
        both = (self.endpoint.address, self.endpoint.address6)
        return tuple(address.partition("/")[0] for address in both if address)


class Members:
    """The members of one network. Addresses of a cluster network come from the manager."""

    def __init__(self, network: NetworkRecord) -> None:
        self.network = network
        self._ranges: dict[int, AddressRange] = {}
        self._gateways: dict[int, str] = {}
        self._members: dict[str, Member] = {}
        self._services: dict[str, tuple[str, ...]] = {}
        for config in network.ipam.config:
            version = parse_subnet(config.subnet).version
            pool = AddressRange(config.subnet, config.ip_range)
            for reserved in (config.gateway, *config.aux_addresses.values()):
                if reserved:
                    pool.take(reserved)
            self._ranges.setdefault(version, pool)
            self._gateways.setdefault(version, config.gateway)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, container_id: str) -> bool:
        return container_id in self._members

    def given(self, endpoint: EndpointRecord, endpoint_id: str, ifname: str) -> EndpointRecord:
        """The endpoint with addresses: those it asks for, else the lowest free ones.

        Raises InvalidArgument (not in the subnet), Forbidden (taken), Conflict (none is free).
        """
        wish = endpoint.wish.ipam_config or EndpointIPAMConfig()
        address = endpoint.assigned_address(4) or self._take(4, wish.ipv4_address)
        try:
            address6 = endpoint.assigned_address(6) or self._take(6, wish.ipv6_address)
        except BaseException:
            self.give_back((address,))
            raise
        has_way_out = not self.network.internal
        return replace(
            endpoint,
            endpoint_id=endpoint_id,
            network_id=self.network.id,
            network_name=self.network.name,
            ifname=ifname,
            address=address,
            gateway=self._gateways.get(4, "") if address and has_way_out else "",
            address6=address6,
            gateway6=self._gateways.get(6, "") if address6 and has_way_out else "",
            mac=endpoint.wish.mac_address,
        )

    def _take(self, version: int, wanted: str) -> str:
        pool = self._ranges.get(version)
        if pool is None:
            if wanted:
                raise InvalidArgument(
                    f"network {self.network.name} has no IPv{version} subnet for {wanted}"
                )
            return ""
        if self.network.scope == "swarm":
            return pool.with_prefix(wanted.partition("/")[0]) if wanted else ""
        try:
            address = pool.take(wanted)
        except ValueError as error:
            raise InvalidArgument(
                f"invalid address on network {self.network.name}: {error}"
            ) from None
        if address is None and wanted:
            raise Forbidden("Address already in use")
        if address is None:
            raise Conflict(f"no available addresses on network {self.network.name}")
        return pool.with_prefix(address)

    def give_back(self, interface_addresses: Iterable[str]) -> None:
        """Free addresses of an endpoint that is no member (any more)."""
        for interface in interface_addresses:
            address = interface.partition("/")[0]
            for pool in self._ranges.values():
                if address and address in pool and self.network.scope == "local":
                    pool.give_back(address)

    def adopt(self, member: Member) -> None:
        """A container that was found running keeps its addresses."""
        for interface in (member.endpoint.address, member.endpoint.address6):
            address = interface.partition("/")[0]
            for pool in self._ranges.values():
                if address and address in pool:
                    pool.take(address)
        self._members[member.container_id] = member

    def add(self, member: Member) -> dict[str, tuple[str, ...]]:
        """Returns the names that changed with their addresses."""
        self._members[member.container_id] = member
        return self.lookup(member.names)

    def drop(self, container_id: str) -> dict[str, tuple[str, ...]]:
        """Take a member off and free its addresses; returns the names that changed."""
        member = self._members.pop(container_id, None)
        if member is None:
            return {}
        self.give_back((member.endpoint.address, member.endpoint.address6))
        return self.lookup(member.names)

    def set_services(self, names: Mapping[str, Sequence[str]]) -> None:
        self._services = {name: tuple(addresses) for name, addresses in names.items()}

    def lookup(self, names: Iterable[str] | None = None) -> dict[str, tuple[str, ...]]:
        """Addresses of these names, or of all. What the cluster says of a name is all of it."""
        answers: dict[str, tuple[str, ...]] = {}
        for member in self._members.values():
            for name in member.names:
                answers[name] = (*answers.get(name, ()), *member.addresses)
        answers.update(self._services)
        if names is None:
            return answers
        return {name: answers.get(name, ()) for name in names}
