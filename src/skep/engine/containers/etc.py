"""/etc/hosts, /etc/hostname and /etc/resolv.conf of a container; and the host's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from skep.kit.errors import InvalidArgument
from skep.model.rules.process import HOST_GATEWAY, check_host_entry

_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
RESOLVER = "127.0.0.11"


class HostEntry(msgspec.Struct, frozen=True):
    """A line of /etc/hosts; the address HOST_GATEWAY stands for the host's own."""

    name: str
    address: str


def hosts_file(
    names: str, addresses: Iterable[str], extra: Iterable[HostEntry], host_gateway: str
) -> str:
    """`names` are the container's own. Raises InvalidArgument when the host has no address for
    HOST_GATEWAY."""
    lines = [_HOSTS]
    for entry in extra:
        address = host_gateway if entry.address == HOST_GATEWAY else entry.address
        if not address:
            raise InvalidArgument(f"unable to derive the IP value for {HOST_GATEWAY}")
        lines.append(f"{address}\t{entry.name}\n")
    lines += [f"{address}\t{names}\n" for address in addresses]
    return "".join(lines)


def parse_hosts(extra: Iterable[str]) -> tuple[HostEntry, ...]:
    """Each `name:address` (or `name=address`). Raises InvalidArgument as `check_host_entry`."""
    parsed = []
    for line in extra:
        name, _, address = line.partition("=" if "=" in line else ":")
        entry = HostEntry(name, address.removeprefix("[").removesuffix("]"))
        check_host_entry(entry.name, entry.address)
        parsed.append(entry)
    return tuple(parsed)


def resolv_file(nameservers: Sequence[str], search: Sequence[str], options: Sequence[str]) -> str:
    lines = [f"nameserver {address}\n" for address in nameservers]
    if search and list(search) != ["."]:
        lines.append(f"search {' '.join(search)}\n")
    if options:
        lines.append(f"options {' '.join(options)}\n")
    return "".join(lines)


class HostResolver:
    """What the host's own resolv.conf says, for containers that do not say otherwise.

    Servers at a loopback address are the host's alone; then systemd-resolved's list is asked.
    """

    def __init__(
        self,
        paths: Sequence[Path] = (
            Path("/etc/resolv.conf"),
            Path("/run/systemd/resolve/resolv.conf"),
        ),
    ) -> None:
        self.nameservers: list[str] = []
        self.search: list[str] = []
        self.options: list[str] = []
        for path in paths:
            self._read(path)
            if self.nameservers:
                return

    def _read(self, path: Path) -> None:
        try:
            text = path.read_text(errors="replace")
        except OSError:
            return
        words = [line.split() for line in text.splitlines() if line.strip()]
        self.nameservers = [
            word[1]
            for word in words
            if word[0] == "nameserver" and len(word) > 1 and not _is_loopback(word[1])
        ]
        self.search = [
            name for word in words if word[0] in {"search", "domain"} for name in word[1:]
        ]
        self.options = [name for word in words if word[0] == "options" for name in word[1:]]


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
