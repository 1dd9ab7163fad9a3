"""Names that a caller adds to a container's /etc/hosts (`--add-host`). Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from skep.kit.errors import InvalidArgument
from skep.model.rules.process import HOST_GATEWAY, check_host_entry


class HostEntry(msgspec.Struct, frozen=True):
    """A line of /etc/hosts; the address HOST_GATEWAY stands for the host's own."""

    name: str
    address: str


def parse_hosts(extra: Iterable[str]) -> tuple[HostEntry, ...]:
    """Each `name:address` (or `name=address`). Raises InvalidArgument as `check_host_entry`."""
    parsed = []
    for line in extra:
        name, _, address = line.partition("=" if "=" in line else ":")
        entry = HostEntry(name, address.removeprefix("[").removesuffix("]"))
        check_host_entry(entry.name, entry.address)
        parsed.append(entry)
    return tuple(parsed)


def host_lines(entries: Iterable[HostEntry], host_gateway: str) -> list[tuple[str, str]]:
    """Address and name of each. Raises InvalidArgument when the host has no address."""
    lines = []
    for entry in entries:
        address = host_gateway if entry.address == HOST_GATEWAY else entry.address
        if not address:
            raise InvalidArgument(f"unable to derive the IP value for {HOST_GATEWAY}")
        lines.append((address, entry.name))
    return lines
