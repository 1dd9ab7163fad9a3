"""A container's place on one network: as kept on disk, as made by the host, as shown."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from skep.model.container import EndpointIPAMConfig, EndpointSettings
from skep.model.network import EndpointResource
from skep.network.values import Attachment


class EndpointRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A container's place on one network: what was asked for and, while it is started, given.

    `address` and `address6` carry their prefix length; they are empty while it does not run.
    `assigned` are those that a manager gave, with theirs; they hold before what `wish` says.
    """

    network_id: str
    network_name: str
    wish: EndpointSettings = EndpointSettings()
    assigned: tuple[str, ...] = ()
    endpoint_id: str = ""
    ifname: str = ""
    address: str = ""
    gateway: str = ""
    address6: str = ""
    gateway6: str = ""
    mac: str = ""

    def assigned_address(self, version: int) -> str:
        """With its prefix length; "" when the manager gave none of this IP version."""
        return next((a for a in self.assigned if (":" in a) == (version == 6)), "")


def dns_names(endpoint: EndpointRecord, container_id: str, container_name: str) -> tuple[str, ...]:
    """What a container is called on a network that resolves names: each once."""
    names = (container_name, *(endpoint.wish.aliases or ()), container_id[:12])
    return tuple(dict.fromkeys(name for name in names if name))


def attachment_of(endpoint: EndpointRecord) -> Attachment:
    """The interface that the host's network room makes of an endpoint with addresses."""
    return Attachment(
        network_id=endpoint.network_id,
        ifname=endpoint.ifname,
        interface_addresses=tuple(a for a in (endpoint.address, endpoint.address6) if a),
        gateways=tuple(g for g in (endpoint.gateway, endpoint.gateway6) if g),
        gateway_priority=endpoint.wish.gw_priority,
        mac=endpoint.mac,
    )


def settings_of(endpoint: EndpointRecord, dns_names: list[str] | None) -> EndpointSettings:
    """The endpoint as inspect shows it: the wish, and what came of it."""
    address, _, length = endpoint.address.partition("/")
    address6, _, length6 = endpoint.address6.partition("/")
    return replace(
        endpoint.wish,
        ipam_config=_ipam_config(endpoint),
        network_id=endpoint.network_id,
        endpoint_id=endpoint.endpoint_id,
        gateway=endpoint.gateway,
        ip_address=address,
        ip_prefix_len=int(length or 0),
        ipv6_gateway=endpoint.gateway6,
        global_ipv6_address=address6,
        global_ipv6_prefix_len=int(length6 or 0),
        mac_address=endpoint.mac,
        dns_names=dns_names,
    )


def _ipam_config(endpoint: EndpointRecord) -> EndpointIPAMConfig | None:
    if not endpoint.assigned:
        return endpoint.wish.ipam_config
    return EndpointIPAMConfig(
        ipv4_address=endpoint.assigned_address(4).partition("/")[0],
        ipv6_address=endpoint.assigned_address(6).partition("/")[0],
    )


def resource_of(endpoint: EndpointRecord, container_name: str) -> EndpointResource:
    """The endpoint as its network's inspect lists it."""
    return EndpointResource(
        name=container_name,
        endpoint_id=endpoint.endpoint_id,
        mac_address=endpoint.mac,
        ipv4_address=endpoint.address,
        ipv6_address=endpoint.address6,
    )
