"""When another program changes this host's packet rules: the kernel tells who listens.

It sends every change of nftables to a multicast group, those of today's iptables too; the old kind
(iptables-legacy) is told to nobody. A change ends with a message that names the program which made
it. Layouts: linux/netfilter/nfnetlink.h and nf_tables.h.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import suppress

from skep.network.netlink import NETLINK_NETFILTER, attributes, messages
from skep.network.nft_child import NAME

_GROUP_NFTABLES = 7
_NEW_GENERATION = 10 << 8 | 15
"""NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWGEN."""
_PROGRAM = 3
"""NFTA_GEN_PROC_NAME."""
_FAMILY_HEADER_BYTES = 4
_RECEIVE_BYTES = 1 << 16


class RuleChanges:
    """Hears of the namespace of the thread that makes it. What a program of the name of our own
    (`nft_child.py`) does is ours, also another skep's on this host."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            NETLINK_NETFILTER,
        )
        self._socket.bind((0, 1 << (_GROUP_NFTABLES - 1)))
        self._ours = NAME.encode()

    def close(self) -> None:
        self._socket.close()

    async def by_others(self, timeout_s: float) -> None:
        """Until another program has changed something, or for `timeout_s`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while all(program == self._ours for program in await self._heard()):
                    pass

    async def _heard(self) -> list[bytes]:
        """The programs that the next message names."""
        try:
            data = await asyncio.get_running_loop().sock_recv(self._socket, _RECEIVE_BYTES)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            return [b"too many to be told"]
        return list(_programs(data))


def _programs(datagram: bytes) -> Iterator[bytes]:
    """Who made the changes that end in it."""
    for kind, _, _, body in messages(datagram):
        if kind == _NEW_GENERATION:
            yield attributes(body[_FAMILY_HEADER_BYTES:]).get(_PROGRAM, b"").rstrip(b"\0")
