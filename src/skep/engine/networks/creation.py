"""What a caller asks of a new network, checked and settled. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from msgspec.structs import replace

from skep.engine.networks.record import (
    BRIDGE_DEFAULT,
    BRIDGE_NAME,
    DRIVER_MTU,
    OPTIONS,
    NetworkRecord,
)
from skep.engine.settings import AddressPool
from skep.kit.errors import Forbidden, InvalidArgument, NotFound, Unimplemented
from skep.kit.numbers import parse_int
from skep.kit.pools import AddressRange, first_free_subnet, parse_subnet
from skep.model.network import IPAM, IPAMConfig, NetworkCreate
from skep.model.rules.names import check_network_name
from skep.model.rules.subnets import check_subnet, overlapping
from skep.network.words import link_name

_IPV6_POOLS = (("fd00::/40", 64),)


def settle(
    wish: NetworkCreate,
    network_id: str,
    now: datetime,
    *,
    pools: Iterable[AddressPool],
    taken: Collection[str],
) -> NetworkRecord:
    """The network that is to be. `taken` are subnets that others have.

    Raises in docker's words: InvalidArgument, Forbidden (overlap, none left), NotFound (driver),
    Unimplemented (names what this engine does not do).
    """
    check_create(wish)
    return NetworkRecord(
        id=network_id,
        name=wish.name,
        driver="bridge",
        created_at=now,
        enable_ipv6=bool(wish.enable_ipv6),
        internal=wish.internal,
        attachable=wish.attachable,
        ipam=settle_ipam(
            wish.ipam or IPAM(), ipv6=bool(wish.enable_ipv6), pools=pools, taken=taken
        ),
        options=wish.options,
        labels=wish.labels,
    )


def check_create(wish: NetworkCreate) -> None:
    """All that can be said against it without knowing what exists."""
    check_network_name(wish.name)
    if wish.driver in {"host", "null"}:
        raise Forbidden(f'only one instance of "{wish.driver}" network is allowed')
    if wish.driver not in {"", "default", "bridge"}:
        raise NotFound(
            f"could not find plugin {wish.driver} in v1 plugin registry: plugin not found"
        )
    if wish.enable_ipv4 is False:
        raise Unimplemented("networks without IPv4 (EnableIPv4=false) are not supported")
    if wish.config_only or (wish.config_from and wish.config_from.network):
        raise Unimplemented("ConfigOnly and ConfigFrom are not supported: give the options here")
    if wish.ingress:
        raise InvalidArgument("Ingress network is only for overlay networks of a swarm")
    if wish.ipam and wish.ipam.driver not in {"", "default"}:
        raise NotFound(f"could not find ipam plugin {wish.ipam.driver}: plugin not found")
    for option, value in wish.options.items():
        if option not in OPTIONS - {BRIDGE_DEFAULT}:
            raise Unimplemented(f'network option "{option}" is not supported by this engine')
        if option == BRIDGE_NAME and value:
            link_name(value)
        if option == DRIVER_MTU and not _is_mtu(value):
            raise InvalidArgument(f'invalid MTU "{value}": a number from 68 to 65535')


def _is_mtu(text: str) -> bool:
    try:
        parse_int(text, 68, 65535)
    except ValueError:
        return False
    return True


def settle_ipam(
    wish: IPAM, *, ipv6: bool, pools: Iterable[AddressPool], taken: Collection[str]
) -> IPAM:
    """Every subnet with a gateway; one is chosen for each IP version that has none."""
    configs = [_checked(config, taken) for config in wish.config if config != IPAMConfig()]
    for version in (4, 6) if ipv6 else (4,):
        count = sum(parse_subnet(config.subnet).version == version for config in configs)
        if count > 1:
            raise InvalidArgument(f"bridge driver doesn't support multiple subnets of IPv{version}")
        if count == 0:
            configs.append(_chosen(version, pools, taken))
    if any(parse_subnet(config.subnet).version == 6 for config in configs) and not ipv6:
        raise InvalidArgument("an IPv6 subnet was given, but IPv6 is not enabled on the network")
    return replace(wish, driver="default", config=[_with_gateway(config) for config in configs])


def _checked(config: IPAMConfig, taken: Collection[str]) -> IPAMConfig:
    check_subnet(config)
    if other := overlapping(config.subnet, taken):
        raise Forbidden(
            "invalid pool request: Pool overlaps with other one on this address space"
            f" ({config.subnet} and {other})"
        )
    return config


def _chosen(version: int, pools: Iterable[AddressPool], taken: Collection[str]) -> IPAMConfig:
    pieces = [(pool.base, pool.size) for pool in pools] if version == 4 else list(_IPV6_POOLS)
    subnet = first_free_subnet(pieces, taken)
    if subnet is None:
        raise Forbidden(
            "all predefined address pools have been fully subnetted: give the network a --subnet"
        )
    return IPAMConfig(subnet=subnet)


def _with_gateway(config: IPAMConfig) -> IPAMConfig:
    if config.gateway:
        return config
    gateway = AddressRange(config.subnet, config.ip_range).take()
    return replace(config, gateway=gateway or "")
