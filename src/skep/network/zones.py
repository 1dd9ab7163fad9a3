"""Who is called what on which network: what sandboxes may ask their resolver for."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from skep.network import dns
from skep.network.values import Zone


@dataclass(slots=True)
class _Zone:
    """One network's names (lower case) with their packed addresses, and the way back."""

    name: str
    addresses: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    owners: dict[bytes, dict[str, None]] = field(default_factory=dict)

    def put(self, name: str, addresses: tuple[str, ...]) -> None:
        name = name.lower()
        for packed in self.addresses.pop(name, ()):
            owners = self.owners[packed]
            owners.pop(name, None)
            if not owners:
                del self.owners[packed]
        if addresses:
            packed_all = tuple(
                ipaddress.ip_address(each).packed for each in dict.fromkeys(addresses)
            )
            self.addresses[name] = packed_all
            for packed in packed_all:
                self.owners.setdefault(packed, {})[name] = None


class Zones:
    """The names of all networks of this host; each change is seen by the next question."""

    def __init__(self) -> None:
        self._zones: dict[str, _Zone] = {}

    def set(self, network_id: str, zone: Zone) -> None:
        fresh = _Zone(zone.name.lower())
        for name, addresses in zone.names.items():
            fresh.put(name, addresses)
        self._zones[network_id] = fresh

    def update(self, network_id: str, names: Mapping[str, tuple[str, ...]]) -> None:
        zone = self._zones.setdefault(network_id, _Zone(""))
        for name, addresses in names.items():
            zone.put(name, addresses)

    def forget(self, network_id: str) -> None:
        self._zones.pop(network_id, None)

    def addresses(self, networks: tuple[str, ...], name: str) -> tuple[bytes, ...] | None:
        """Packed addresses of a name in lower case, from the first network that knows it.

        None when no network does.
        """
        for network_id in networks:
            zone = self._zones.get(network_id)
            if zone is None:
                continue
            found = zone.addresses.get(name)
            if found is None and zone.name and name.endswith(f".{zone.name}"):
                found = zone.addresses.get(name.removesuffix(f".{zone.name}"))
            if found is not None:
                return found
        return None

    def name_of(self, networks: tuple[str, ...], address: str) -> str | None:
        """`web.mynet`: the first name that was given to an address on one of the networks, of
        those that DNS can carry."""
        packed = ipaddress.ip_address(address).packed
        for network_id in networks:
            if (zone := self._zones.get(network_id)) is None:
                continue
            for owner in zone.owners.get(packed, ()):
                name = f"{owner}.{zone.name}" if zone.name else owner
                if dns.is_name(name):
                    return name
        return None
