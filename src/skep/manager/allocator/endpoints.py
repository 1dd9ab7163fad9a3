"""What a service stands on: published ports and a virtual address for each of its networks."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from skep.manager.allocator.ledger import Allocations, PortKey
from skep.manager.allocator.refused import CannotAllocate
from skep.model import defaults
from skep.model.network import Network
from skep.model.service import (
    Endpoint,
    EndpointSpec,
    EndpointVIP,
    NetworkAttachmentConfig,
    PortConfig,
    Service,
)

_DYNAMIC_PORTS = range(30000, 32768)

FindNetwork = Callable[[str], Network]
"""A network by id that is ready to be stood on, "" for the ingress network; raises Refused."""

TakeAddress = Callable[[Network], str]
"""Gives an address of the network, with prefix length; raises Refused."""


def wished(service: Service) -> EndpointSpec:
    spec = service.spec.endpoint_spec or EndpointSpec()
    return replace(spec, mode=defaults.endpoint_mode(service.spec))


def chooses_ports(service: Service) -> bool:
    """Some published port is left to us. Such services come after those that name their ports."""
    return any(_is_open(port) for port in defaults.ports(service.spec))


def allocate(
    service: Service, ledger: Allocations, find: FindNetwork, take: TakeAddress
) -> Endpoint:
    """The endpoint that the service should have: what it has and still wants is kept.

    Raises Refused when a port is taken or an address cannot be had.
    """
    spec = wished(service)
    return Endpoint(
        spec=spec,
        ports=_ports(service, spec, ledger),
        virtual_ips=_virtual_ips(service, spec, find, take),
    )


def networks_of(
    wishes: list[NetworkAttachmentConfig], ports: list[PortConfig], find: FindNetwork
) -> list[tuple[Network, list[str]]]:
    """Networks to stand on, each once, with aliases: ingress first where ports ask for it."""
    joined: dict[str, tuple[Network, list[str]]] = {}
    if any(port.publish_mode == "ingress" for port in ports):
        ingress = find("")
        joined[ingress.id] = (ingress, [])
    for wish in wishes:
        network = find(wish.target)
        joined.setdefault(network.id, (network, wish.aliases))
    return list(joined.values())


def resolved(ports: list[PortConfig], endpoint: Endpoint) -> list[PortConfig]:
    """The ports with the numbers that the service was given before for those that it left open."""
    if not any(map(_is_open, ports)):
        return ports
    named = {(port.protocol, port.published_port) for port in ports}
    given = [
        port
        for port in endpoint.ports
        if port.publish_mode == "ingress" and (port.protocol, port.published_port) not in named
    ]
    return [_with_number(port, given) if _is_open(port) else port for port in ports]


def _with_number(port: PortConfig, given: list[PortConfig]) -> PortConfig:
    """The port as it was given; each number is used once."""
    for candidate in given:
        if replace(candidate, published_port=0) == port:
            given.remove(candidate)
            return candidate
    return port


def _is_open(port: PortConfig) -> bool:
    return port.publish_mode == "ingress" and not port.published_port


def _virtual_ips(
    service: Service, spec: EndpointSpec, find: FindNetwork, take: TakeAddress
) -> list[EndpointVIP]:
    if spec.mode != "vip":
        return []
    has = {vip.network_id: vip for vip in service.endpoint.virtual_ips}
    return [
        has.get(network.id) or EndpointVIP(network_id=network.id, addr=take(network))
        for network, _ in networks_of(defaults.networks(service.spec), spec.ports, find)
        if network.spec.driver == "overlay"
    ]


def _ports(service: Service, spec: EndpointSpec, ledger: Allocations) -> list[PortConfig]:
    for port in spec.ports:
        _check_free(service, port, ledger)
    ports = resolved(spec.ports, service.endpoint)
    mine: set[PortKey] = {(port.protocol, port.published_port) for port in ports}
    return [_with_free_number(port, service, mine, ledger) for port in ports]


def _with_free_number(
    port: PortConfig, service: Service, mine: set[PortKey], ledger: Allocations
) -> PortConfig:
    if not _is_open(port):
        return port
    number = _free_port(port.protocol, service.id, mine, ledger)
    mine.add((port.protocol, number))
    return replace(port, published_port=number)


def _free_port(protocol: str, service_id: str, mine: set[PortKey], ledger: Allocations) -> int:
    for number in _DYNAMIC_PORTS:
        key = (protocol, number)
        if key not in mine and ledger.ports.get(key, service_id) == service_id:
            return number
    raise CannotAllocate(
        f"no free port left for {protocol} in {_DYNAMIC_PORTS[0]}-{_DYNAMIC_PORTS[-1]}: "
        "name the port to publish, or remove services"
    )


def _check_free(service: Service, port: PortConfig, ledger: Allocations) -> None:
    if port.publish_mode != "ingress" or not port.published_port:
        return
    holder = ledger.ports.get((port.protocol, port.published_port), service.id)
    if holder != service.id:
        raise CannotAllocate(
            f"port '{port.published_port}' is already in use by service {holder} as an ingress port"
        )
