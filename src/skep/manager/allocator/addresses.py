"""The addresses of one cluster network: who holds what, and which one is next."""

from __future__ import annotations

from skep.kit.pools import AddressRange
from skep.model.network import Network


class Addresses:
    """Counts of holders by address, from stored objects alone; chooses what nobody holds.

    The address of a dead task is free, but is given again only when no other is left while the
    task is remembered: what other nodes still send there must not reach a stranger.
    """

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self.remembered: dict[str, int] = {}
        self._network: Network | None = None
        self._ranges: list[AddressRange] | None = None

    @property
    def in_use(self) -> bool:
        return bool(self.held or self.remembered or self._network)

    def set_network(self, network: Network | None) -> None:
        """The network as it is now: it gives the subnets."""
        self._network = network
        self._ranges = None

    def hold(self, address: str) -> None:
        self._count(self.held, address, 1)

    def release(self, address: str) -> None:
        self._count(self.held, address, -1)

    def remember(self, address: str) -> None:
        self._count(self.remembered, address, 1)

    def forget(self, address: str) -> None:
        self._count(self.remembered, address, -1)

    def choose(self) -> str | None:
        """A free address with its prefix length; None when all are held. It is not held by this:
        whoever gets it is, by the object that says so."""
        for pool in self._subnets():
            address = pool.take()
            if address is not None:
                pool.give_back(address)
                return pool.with_prefix(address)
            address = self._least_missed(pool)
            if address is not None:
                return pool.with_prefix(address)
        return None

    def _least_missed(self, pool: AddressRange) -> str | None:
        free = (address for address in self.remembered if address not in self.held)
        return next((address for address in sorted(free) if address in pool), None)

    def _subnets(self) -> list[AddressRange]:
        if self._ranges is None:
            self._ranges = _ranges_of(self._network)
            for address in self.held.keys() | self.remembered.keys():
                _take(self._ranges, address)
        return self._ranges

    def _count(self, table: dict[str, int], address: str, change: int) -> None:
        number = table.get(address, 0) + change
        if number:
            table[address] = number
        else:
            table.pop(address, None)
        if self._ranges is None:
            return
        if address in self.held or address in self.remembered:
            _take(self._ranges, address)
        else:
            _give_back(self._ranges, address)


def _ranges_of(network: Network | None) -> list[AddressRange]:
    """The network's subnets, without the addresses that are nobody's to hold."""
    ranges = []
    for config in network.ipam.config if network is not None else ():
        pool = AddressRange(config.subnet, config.ip_range)
        for reserved in (config.gateway, *config.aux_addresses.values()):
            if reserved:
                pool.take(reserved)
        ranges.append(pool)
    return ranges


def _take(ranges: list[AddressRange], address: str) -> None:
    for pool in ranges:
        if address in pool:
            pool.take(address)


def _give_back(ranges: list[AddressRange], address: str) -> None:
    for pool in ranges:
        if address in pool:
            pool.give_back(address)


def bare(address: str) -> str:
    """`10.0.1.3` of `10.0.1.3/24`."""
    return address.partition("/")[0]
