"""Names and numbers that this host's kernel knows our things by, all derived from their ids.

Several daemons may share one network namespace: every name carries the instance's suffix. Link
names have at most 15 characters, so ids enter as digests.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from skep.network.values import Attachment, Bridge
from skep.network.words import link_name

BRIDGE_MARK = "sb"
"""How the names of bridges begin, of whatever instance."""
_DIGEST_LENGTH = 8


def _digest(*parts: str) -> str:
    return hashlib.blake2s("/".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one instance; `suffix` is a few characters of [a-z0-9]."""

    suffix: str

    @property
    def _short(self) -> str:
        """The suffix, made to fit into a link's name."""
        return self.suffix if len(self.suffix) <= 4 else _digest(self.suffix)[:4]

    @property
    def table(self) -> str:
        return f"skep{self.suffix}"

    @property
    def bridge_prefix(self) -> str:
        return f"{BRIDGE_MARK}{self._short}-"

    @property
    def veth_prefix(self) -> str:
        return f"sv{self._short}-"

    @property
    def alias_prefix(self) -> str:
        """The alias of a bridge is this and its network's id."""
        return f"skep{self.suffix}:"

    @property
    def doomed_group(self) -> int:
        """The link group of what is about to be deleted; far from numbers that people choose."""
        return 0x5B000000 | int(_digest(self.suffix, "doomed")[:6], 16)

    def bridge(self, bridge: Bridge) -> str:
        """Raises InvalidArgument when somebody chose a name that is none."""
        if bridge.link:
            return link_name(bridge.link)
        return self.bridge_prefix + _digest(bridge.id)[:_DIGEST_LENGTH]

    def veth(self, sandbox_id: str, network_id: str) -> str:
        return self.veth_prefix + _digest(sandbox_id, network_id)[:_DIGEST_LENGTH]


def bridge_mac(network_id: str) -> str:
    """A bridge without one of its own would take, and change with, those of its ports."""
    return _mac("02", _digest(network_id)[:10])


def attachment_mac(attachment: Attachment) -> str:
    """As docker's: 02:42 and the IPv4 address; who gets the address next has the same MAC, so
    no neighbour's cache is ever wrong."""
    if attachment.mac:
        return attachment.mac.lower()
    for interface in map(ipaddress.ip_interface, attachment.interface_addresses):
        if interface.version == 4:
            return _mac("0242", interface.ip.packed.hex())
    return _mac("02", _digest(*attachment.interface_addresses)[:10])


def _mac(first: str, rest: str) -> str:
    return bytes.fromhex(first + rest).hex(":")


def free_ifname(taken: Iterable[str]) -> str:
    """The first of eth0, eth1, … that is not taken."""
    used = set(taken)
    return next(name for n in range(len(used) + 1) if (name := f"eth{n}") not in used)
