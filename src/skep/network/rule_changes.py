"""When another program changes this host's packet rules: the kernel tells who listens.

It sends every change of nftables to a multicast group, those of today's iptables too; the old kind
(iptables-legacy) is told to nobody. A change ends with a message that names the program which made
it; every other message names the table that it is about. Layouts: linux/netfilter/nfnetlink.h and
nf_tables.h.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from skep.network.netlink import NETLINK_NETFILTER, attributes, messages
from skep.network.nft_child import NAME

_GROUP_NFTABLES = 7
_NEW_GENERATION = 10 << 8 | 15
"""NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWGEN."""
_PROGRAM = 3
"""NFTA_GEN_PROC_NAME."""
_TABLE = 1
"""NFTA_TABLE_NAME, NFTA_RULE_TABLE, and so on: the same number in every message."""
_OURS = NAME.encode()
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES = 16 << 20
"""A table of ten thousand ports is told in a burst of some megabytes; they are there only then."""
_FAMILY_HEADER_BYTES = 4
_RECEIVE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Change:
    """What one transaction was about, and who made it."""

    program: bytes
    tables: frozenset[bytes]


LOST = Change(b"(lost)", frozenset())
"""There were too many to be told of them all."""


class RuleChanges:
    """Hears of the namespace of the thread that makes it. What a program of the name of our own
    (`nft_child.py`) does is ours, also another skep's on this host."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            NETLINK_NETFILTER,
        )
        with suppress(PermissionError):  # then more may be lost, which is seen
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        self._socket.bind((0, 1 << (_GROUP_NFTABLES - 1)))
        self._touched: set[bytes] = set()

    def close(self) -> None:
        self._socket.close()

    async def by_others(self, timeout_s: float) -> list[Change]:
        """Wait until other programs have changed something, or for `timeout_s`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    changes = [each for each in await self._heard() if each.program != _OURS]
                    if changes:
                        return changes
        return []

    async def _heard(self) -> list[Change]:
        """The transactions that end in the next message."""
        try:
            data = await asyncio.get_running_loop().sock_recv(self._socket, _RECEIVE_BYTES)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._touched.clear()
            return [LOST]
        return list(self._ended(data))

    def _ended(self, datagram: bytes) -> Iterator[Change]:
        for kind, _, _, body in messages(datagram):
            said = attributes(body[_FAMILY_HEADER_BYTES:])
            if kind != _NEW_GENERATION:
                self._touched.add(said.get(_TABLE, b"").rstrip(b"\0"))
                continue
            yield Change(said.get(_PROGRAM, b"").rstrip(b"\0"), frozenset(self._touched))
            self._touched.clear()
