"""Subnets cut from pools, and addresses given out of a subnet. No I/O; IPv4 and IPv6 alike.

Addresses and subnets are strings in the usual notation ("172.17.0.0/16", "172.17.0.2").
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_subnet(text: str) -> Subnet:
    """Raises ValueError when it is none, or has bits set behind its prefix."""
    return ipaddress.ip_network(text)


def overlap(one: str, other: str) -> bool:
    """Whether two subnets share an address; those of different versions never do."""
    a, b = parse_subnet(one), parse_subnet(other)
    return a.version == b.version and a.overlaps(b)


def first_free_subnet(pools: Iterable[tuple[str, int]], taken: Iterable[str]) -> str | None:
    """The first piece, of `prefix length` bits, of the pools' bases that overlaps nothing taken.

    `pools` are (base subnet, prefix length of a piece) in the order of preference.
    """
    used = [parse_subnet(text) for text in taken]
    for base, length in pools:
        for piece in _pieces(parse_subnet(base), length):
            if not any(piece.version == u.version and piece.overlaps(u) for u in used):
                return str(piece)
    return None


def _pieces(base: Subnet, length: int) -> Iterator[Subnet]:
    if length < base.prefixlen:
        raise ValueError(f"the pool {base} is smaller than its pieces of /{length}")
    return iter(base.subnets(new_prefix=length))


class AddressRange:
    """The addresses of one subnet: given out lowest first, each to one holder at a time.

    The subnet's own address is never given, nor is IPv4's broadcast address. With `ip_range`
    (a subnet inside) only its addresses are chosen; any in the subnet may be asked for by name.
    """

    def __init__(self, subnet: str, ip_range: str = "") -> None:
        self.subnet = parse_subnet(subnet)
        chosen = parse_subnet(ip_range) if ip_range else self.subnet
        self._first, self._last = int(chosen[0]), int(chosen[-1])
        self._never = {int(self.subnet.network_address)}
        if self.subnet.version == 4 and self.subnet.prefixlen < 31:
            self._never.add(int(self.subnet.broadcast_address))
        self._used: set[int] = set()
        self._lowest = self._first
        """No address below it is free."""

    def take(self, wanted: str = "") -> str | None:
        """`wanted`, or the lowest free address; None when it (or every one) is taken.

        Raises ValueError when `wanted` is no address of this subnet.
        """
        if wanted:
            address = ipaddress.ip_address(wanted)
            if address not in self.subnet or int(address) in self._never:
                raise ValueError(f"{wanted} is not an address of {self.subnet}")
            number = int(address)
            if number in self._used:
                return None
        else:
            number = self._lowest
            while number in self._used or number in self._never:
                number += 1
            if number > self._last:
                return None
            self._lowest = number + 1
        self._used.add(number)
        return str(self._address(number))

    def give_back(self, address: str) -> None:
        """Free it; one that is free already is fine."""
        number = int(ipaddress.ip_address(address))
        if number in self._used:
            self._used.discard(number)
            self._lowest = max(self._first, min(self._lowest, number))

    def with_prefix(self, address: str) -> str:
        """`172.17.0.2/16`."""
        return f"{address}/{self.subnet.prefixlen}"

    def __contains__(self, address: str) -> bool:
        return ipaddress.ip_address(address) in self.subnet

    def _address(self, number: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        kind = ipaddress.IPv4Address if self.subnet.version == 4 else ipaddress.IPv6Address
        return kind(number)
