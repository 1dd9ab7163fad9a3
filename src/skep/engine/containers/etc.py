"""/etc/hosts, /etc/hostname and /etc/resolv.conf of a container; and the host's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from skep.model.rules.process import check_host_entry

_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
HOST_GATEWAY = "host-gateway"
RESOLVER = "127.0.0.11"


def hosts_file(
    names: str, addresses: Iterable[str], extra: Sequence[str], host_gateway: str
) -> str:
    """`names` are the container's own; `extra` lines "name:address", the address of the host
    standing as "host-gateway"."""
    lines = [_HOSTS]
    lines += [f"{address}\t{name}\n" for name, address in parse_hosts(extra, host_gateway)]
    lines += [f"{address}\t{names}\n" for address in addresses]
    return "".join(lines)


def parse_hosts(extra: Iterable[str], host_gateway: str) -> list[tuple[str, str]]:
    """Name and address of each `name:address` (or `name=address`). Raises InvalidArgument."""
    parsed = []
    for line in extra:
        name, _, address = line.partition("=" if "=" in line else ":")
        address = address.removeprefix("[").removesuffix("]")
        if address == HOST_GATEWAY:
            address = host_gateway
        check_host_entry(name, address)
        parsed.append((name, address))
    return parsed


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
