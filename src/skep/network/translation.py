"""Rules inside sandboxes: the way to the resolver, and virtual addresses.

A sandbox that needs neither has no table, and its traffic no connection tracking.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from skep.kit.errors import Internal
from skep.network import netns
from skep.network.nft import Nft
from skep.network.rules import IPV4, no_table
from skep.network.sandbox_rules import sandbox_table, virtual_changes
from skep.network.values import RESOLVER_ADDRESS

_USUAL_PORT = 28653
"""Not of the range that the kernel gives to programs that ask for any port."""
_TABLE = "skep"

ResolverSockets = tuple[socket.socket, socket.socket]
"""UDP, TCP (listening)."""


class SandboxRules:
    """Knows what it wrote into which sandbox. Blocking: for one worker thread at home.

    A sandbox that it was not told to be new, because the daemon was restarted, may have anything
    in its table: that is replaced when next there is something to write.
    """

    def __init__(self, nft: Nft) -> None:
        self._nft = nft
        self._resolver_ports: dict[str, int] = {}
        self._virtual: dict[str, dict[str, tuple[str, ...]]] = {}

    def born(self, sandbox_id: str) -> None:
        """The sandbox was made this moment."""
        self._virtual[sandbox_id] = {}

    def open_resolver(self, sandbox_id: str, path: Path) -> ResolverSockets:
        """Sockets in the sandbox that get what it asks at 127.0.0.11:53, not blocking."""
        with _inside(path):
            sockets, port = _listen()
        try:
            self._nft.run(sandbox_table(_TABLE, port), path)
        except BaseException:
            for each in sockets:
                each.close()
            raise
        self._resolver_ports[sandbox_id] = port
        return sockets

    def set_virtual(self, sandbox_id: str, path: Path, wanted: dict[str, tuple[str, ...]]) -> None:
        """Make `wanted` (address -> backends) all the virtual addresses of the sandbox.

        Backends are called in turn; each sandbox begins with another one, or the first calls of
        all clients would go to the same.
        """
        wanted = {address: _turned(group, sandbox_id) for address, group in wanted.items()}
        before = self._virtual.get(sandbox_id)
        if before == wanted:
            return
        whole = no_table(IPV4, _TABLE) + self._table(sandbox_id, wanted)
        if before is None:
            self._nft.run(whole, path)
        else:
            change = virtual_changes(_TABLE, before, wanted)
            try:
                self._nft.run(change if before else self._table(sandbox_id, wanted), path)
            except Internal:
                self._nft.run(whole, path)  # a program in it may have changed its own rules
        self._virtual[sandbox_id] = wanted

    def _table(self, sandbox_id: str, virtual: dict[str, tuple[str, ...]]) -> str:
        table = sandbox_table(_TABLE, self._resolver_ports.get(sandbox_id, 0))
        return table + virtual_changes(_TABLE, {}, virtual)

    def forget(self, sandbox_id: str) -> None:
        """The sandbox is gone, and its rules with it."""
        self._resolver_ports.pop(sandbox_id, None)
        self._virtual.pop(sandbox_id, None)


def _turned(backends: tuple[str, ...], sandbox_id: str) -> tuple[str, ...]:
    first = crc32(sandbox_id.encode()) % max(len(backends), 1)
    return backends[first:] + backends[:first]


@contextmanager
def _inside(path: Path) -> Iterator[None]:
    fd = netns.open_at(path)
    try:
        with netns.inside(fd):
            yield
    finally:
        os.close(fd)


def _listen() -> tuple[ResolverSockets, int]:
    """Both sockets on one port: the usual one, or any when a program in the sandbox has it."""
    for port in (_USUAL_PORT, 0):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind((RESOLVER_ADDRESS, port))
            chosen: int = tcp.getsockname()[1]
            udp.bind((RESOLVER_ADDRESS, chosen))
            tcp.listen(64)
        except OSError as error:
            udp.close()
            tcp.close()
            if error.errno != errno.EADDRINUSE or port == 0:
                raise
        else:
            return (udp, tcp), chosen
    raise AssertionError("the last round returns or raises")
