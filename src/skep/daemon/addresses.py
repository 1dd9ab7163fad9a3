"""The addresses that `swarm init` and `swarm join` are given: checked at the door, as docker does.

Docker takes an interface's name wherever it takes an address (moby daemon/cluster/listen_addr.go).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Container

import msgspec

from skep.kit.addresses import is_address, join_host_port, split_host_port
from skep.kit.errors import InvalidArgument
from skep.network import links
from skep.network.netlink import Netlink
from skep.protocol.tls import PORT

Interfaces = dict[str, list[str]]
"""The addresses of this machine's interfaces, by the interfaces' names."""

_BAD_LISTEN = (
    "listen address must be an IP address or network interface (with optional port number)"
)
_BAD_ADVERTISE = (
    "advertise address must be a non-zero IP address or network interface "
    "(with optional port number)"
)
_BAD_DATA_PATH = (
    "data path address must be a non-zero IP address or network interface (without a port number)"
)


class NodeAddresses(msgspec.Struct, frozen=True):
    """Where a node listens (host:port), how others reach it (host:port), and the address of its
    traffic between containers."""

    listen: str
    advertise: str
    data_path: str


def node_addresses(
    listen: str, advertise: str, data_path: str, interfaces: Interfaces, own: str
) -> NodeAddresses:
    """What was asked for, made whole. `own` is the address that packets to the outside leave from,
    or "". Raises InvalidArgument."""
    listen_host, port = _listen(listen, interfaces)
    host, advertise_port = _advertise(advertise, listen_host, port, interfaces, own)
    return NodeAddresses(
        listen=join_host_port(listen_host, port),
        advertise=join_host_port(host, advertise_port),
        data_path=_data_path(data_path, interfaces) or host,
    )


def this_machine(without: Container[str]) -> Interfaces:
    """The interfaces here, `without` addresses that nobody can mean. Blocking, for a moment."""
    with Netlink() as netlink:
        return {
            link.name: [
                str(address.ip)
                for address in links.addresses_of(netlink, link.index)
                if str(address.ip) not in without
            ]
            for link in links.all_links(netlink)
        }


def _listen(text: str, interfaces: Interfaces) -> tuple[str, int]:
    host, port = split_host_port(text, PORT)
    if not host:
        return "0.0.0.0", port
    address = _resolve(host, interfaces)
    if address is None:
        raise InvalidArgument(_BAD_LISTEN)
    return address, port


def _advertise(
    text: str, listen: str, listen_port: int, interfaces: Interfaces, own: str
) -> tuple[str, int]:
    host, port = split_host_port(text, listen_port)
    if host:
        address = _resolve(host, interfaces)
        if address is None or _is_zero(address):
            raise InvalidArgument(_BAD_ADVERTISE)
        return address, port
    if text:
        raise InvalidArgument(_BAD_ADVERTISE)
    if not _is_zero(listen):
        return listen, port
    return own or _only_address(interfaces), port


def _data_path(text: str, interfaces: Interfaces) -> str:
    if not text:
        return ""
    address = _resolve(text, interfaces)
    if address is None or _is_zero(address):
        raise InvalidArgument(_BAD_DATA_PATH)
    return address


def _resolve(host: str, interfaces: Interfaces) -> str | None:
    """The address that `host` is, or that the interface of that name has; None when it is neither.
    Raises InvalidArgument for an interface without one, or with several to choose from."""
    if host not in interfaces:
        return host if is_address(host) else None
    for version in (4, 6):
        found = [a for a in interfaces[host] if ipaddress.ip_address(a).version == version]
        if len(found) > 1:
            raise InvalidArgument(
                f"interface {host} has more than one IPv{version} address "
                f"({found[0]} and {found[1]}): give the address itself"
            )
        if found:
            return found[0]
    raise InvalidArgument(f"interface {host} has no usable IPv4 or IPv6 address")


def _only_address(interfaces: Interfaces) -> str:
    """A machine without a way outside is called by its one address, or as itself."""
    found = [
        (address, name)
        for name, addresses in sorted(interfaces.items())
        for address in addresses
        if ipaddress.ip_address(address).version == 4
        and not ipaddress.ip_address(address).is_loopback
    ]
    if len(found) > 1:
        (one, on), (other, on_other) = found[:2]
        raise InvalidArgument(
            "could not choose an IP address to advertise since this system has multiple addresses "
            f"({one} on {on} and {other} on {on_other}) - specify one with --advertise-addr"
        )
    return found[0][0] if found else "127.0.0.1"


def _is_zero(address: str) -> bool:
    return ipaddress.ip_address(address).is_unspecified
