"""A network's subnet and what is said of it (source: moby api/types/network, ValidateIPAM)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from skep.kit.pools import Subnet, overlap, parse_subnet
from skep.model.network import IPAMConfig
from skep.model.rules import Broken


def check_subnet(config: IPAMConfig) -> Subnet:
    """The subnet, when its range, gateway and named addresses lie inside."""
    subnet = _parsed("subnet", config.subnet)
    if config.ip_range:
        _check_range(config.ip_range, subnet)
    _check_address("gateway", config.gateway, config.gateway, subnet)
    for name, address in config.aux_addresses.items():
        _check_address("auxiliary address", name, address, subnet)
    return subnet


def overlapping(subnet: str, taken: Iterable[str]) -> str | None:
    """The first of `taken` that shares an address with `subnet`."""
    return next((other for other in taken if overlap(subnet, other)), None)


def _check_range(text: str, subnet: Subnet) -> None:
    inner = _parsed("ip-range", text)
    if inner.version != subnet.version:
        raise _broken("ip-range", text, f"parent subnet is an IPv{subnet.version} block")
    if inner.prefixlen < subnet.prefixlen:
        raise _broken("ip-range", text, f"CIDR block is bigger than its parent subnet {subnet}")
    if not inner.subnet_of(subnet):  # type: ignore[arg-type]  # both of one version
        raise _broken("ip-range", text, f"parent subnet {subnet} doesn't contain ip-range")


def _check_address(what: str, name: str, text: str, subnet: Subnet) -> None:
    """None is fine."""
    if not text:
        return
    try:
        address = ip_address(text)
    except ValueError:
        raise _broken(what, name, "invalid address") from None
    if address.version != subnet.version:
        raise _broken(what, name, f"parent subnet is an IPv{subnet.version} block")
    if address not in subnet:
        raise _broken(what, name, f"parent subnet {subnet} doesn't contain this address")


def _parsed(what: str, text: str) -> Subnet:
    try:
        return parse_subnet(text)
    except ValueError:
        pass
    try:
        masked = ip_network(text, strict=False)
    except ValueError:
        raise _broken(what, text, "invalid CIDR block notation") from None
    raise _broken(what, text, f"it should be {masked}")


def _broken(what: str, name: str, reason: str) -> Broken:
    return Broken("subnet", f"invalid network config:\ninvalid {what} {name}: {reason}")
