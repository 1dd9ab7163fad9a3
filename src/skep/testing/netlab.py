"""A laboratory: a host of our own (a network namespace) and another machine beside it.

Sockets belong to the namespace in which they are made, so servers and clients of all namespaces
live in the test's own event loop. Nothing here touches the machine's own network.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from skep.network import netns, sysctl
from skep.network.kernel import KernelNetwork
from skep.network.netlink import Netlink, NetlinkRequest, text, u32
from skep.network.values import Attachment, Bridge, Sandbox, Subnet

HOST = "10.77.0.1"
NEIGHBOUR = "10.77.0.2"
THIRD = "10.78.0.2"
_PATIENCE_S = 20.0
"""The kernel may take seconds until a new link speaks IPv6 (linkwatch has a rate), and a lost SYN
is sent again after 1, 3 and 7 s."""
_SILENCE_S = 1.0
"""Packets here take microseconds: who did not answer in so long will not."""


@dataclass
class Lab:
    """The namespaces of a test; the test's thread is in the host's."""

    root: Path
    host: int
    neighbour: int
    network: KernelNetwork
    _servers: list[asyncio.AbstractServer] = field(default_factory=list)
    _sockets: list[socket.socket] = field(default_factory=list)

    def path(self, sandbox_id: str) -> Path:
        return self.network.netns_path(sandbox_id)

    @contextlib.contextmanager
    def inside(self, sandbox_id: str) -> Iterator[None]:
        fd = netns.open_at(self.path(sandbox_id))
        try:
            with netns.inside(fd):
                yield
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def at_neighbour(self) -> Iterator[None]:
        with netns.inside(self.neighbour):
            yield

    def run(self, *words: str) -> str:
        """A program in the namespace that the thread is in now."""
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    async def serve_tcp(self, address: str, port: int, name: str = "") -> None:
        """Answer each connection with our name and the caller's address, where we are now."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(listening, address, port)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(f"{name} {writer.get_extra_info('peername')[0]}".strip().encode())
            writer.close()

        self._servers.append(await asyncio.start_server(answer, sock=listening))

    async def serve_udp(self, address: str, port: int, name: str = "") -> None:
        """The same for datagrams."""
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        _bind(bound, address, port)
        self._sockets.append(bound)

        def answer() -> None:
            _, sender = bound.recvfrom(4096)
            bound.sendto(f"{name} {sender[0]}".strip().encode(), sender)

        asyncio.get_running_loop().add_reader(bound, answer)

    def route_loopback_via(self, gateway: str, link: str) -> None:
        """Send packets to 127.0.0.1 out to a neighbour, as an attacker would, where we are now."""
        sysctl.write(f"net.ipv4.conf.{link}.route_localnet", "1")
        self.run("ip", "route", "flush", "table", "local", "127.0.0.0/8")
        self.run("ip", "route", "add", "127.0.0.0/8", "via", gateway, "dev", link)

    def bridge_netfilter(self, *, on: bool) -> None:
        """Whether the host shows bridged frames to its IP firewalls.

        A distribution's kernel has that in a module, which dockerd, for one, loads.
        """
        if not Path("/proc/sys/net/bridge").exists():
            self.run("modprobe", "br_netfilter")
        for version in ("iptables", "ip6tables"):
            sysctl.write(f"net.bridge.bridge-nf-call-{version}", str(int(on)))

    def adopt(self, bound: socket.socket, server: asyncio.AbstractServer) -> None:
        """Close these when the test ends; the socket's reader too."""
        self._sockets.append(bound)
        self._servers.append(server)

    async def restart(self) -> None:
        """The daemon was killed and is here again: nothing was cleaned up, nothing is known."""
        await self.network.close()
        self.network = open_network(self.root)
        await self.network.open()

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for each in self._sockets:
            asyncio.get_running_loop().remove_reader(each)
            each.close()


def _bind(unbound: socket.socket, address: str, port: int) -> None:
    try:
        unbound.bind((address, port))
    except OSError:
        unbound.close()
        raise


async def _exchange(asking: socket.socket, address: str, port: int, data: bytes) -> str:
    loop = asyncio.get_running_loop()
    with asking:
        async with asyncio.timeout(_PATIENCE_S):
            await loop.sock_connect(asking, (address, port))
            if data:
                await loop.sock_sendall(asking, data)
            return (await loop.sock_recv(asking, 4096)).decode()


def call_tcp(address: str, port: int, source: str = "") -> asyncio.Task[str]:
    """Ask from the namespace that the thread is in now; raises OSError or TimeoutError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    asking = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    if source:
        asking.bind((source, 0))
    return asyncio.create_task(_exchange(asking, address, port, b""))


async def replies(*calls: asyncio.Task[str]) -> list[str]:
    """What all of them were answered, in order."""
    return [await call for call in calls]


async def unreachable(call: asyncio.Task[str]) -> bool:
    """Whether nobody answered."""
    await asyncio.wait({call}, timeout=_SILENCE_S)
    call.cancel()
    try:
        await call
    except (OSError, asyncio.CancelledError):
        return True
    return False


def call_udp(address: str, port: int) -> asyncio.Task[str]:
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    return asyncio.create_task(_exchange(asking, address, port, b"?"))


def _new_namespace(path: Path) -> int:
    home = netns.open_own()
    thread = threading.Thread(target=netns.make, args=(path, home))
    thread.start()
    thread.join()
    os.close(home)
    return netns.open_at(path)


def _ip(*words: str) -> None:
    """`ip` in the namespace that the thread is in now."""
    subprocess.run(["ip", *words], check=True)


def _wire(host: int, neighbour: int, link: str, addresses: tuple[str, str]) -> None:
    """A cable between the two namespaces; the thread is in the first."""
    _ip("link", "add", link, "type", "veth", "peer", "name", f"{link}1")
    move = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + text(3, f"{link}1") + u32(28, neighbour)
    with Netlink() as netlink:
        netlink.apply(NetlinkRequest(16, move, f"move {link}1"))
    for place, name, address in (
        (host, link, addresses[0]),
        (neighbour, f"{link}1", addresses[1]),
    ):
        with netns.inside(place):
            _ip("addr", "add", f"{address}/24", "dev", name)
            _ip("link", "set", name, "up")
            _ip("link", "set", "lo", "up")


def open_network(root: Path) -> KernelNetwork:
    """The network of the test's instance."""
    return KernelNetwork(root / "exec", "t", root / "resolv.conf")


@contextlib.contextmanager
def two_machines(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """The namespaces of a host and of its neighbour; the thread is in the host's."""
    root = netns.open_own()
    netns.prepare_directory(tmp_path / "lab")
    paths = [tmp_path / "lab" / name for name in ("host", "neighbour")]
    host, neighbour = (_new_namespace(path) for path in paths)
    netns.enter(host)
    try:
        _wire(host, neighbour, "wire", (HOST, NEIGHBOUR))
        yield host, neighbour
    finally:
        netns.enter(root)
        for fd in (root, host, neighbour):
            os.close(fd)
        for path in paths:
            netns.release(path)
        netns.remove_directory(tmp_path / "lab")


@contextlib.asynccontextmanager
async def laboratory(tmp_path: Path, *, forwards: bool | None = None) -> AsyncIterator[Lab]:
    """A host with our network open on it.

    forwards   whether the host is a router before; None: as the machine is.
    """
    with two_machines(tmp_path) as (host, neighbour):
        if forwards is not None:
            sysctl.write("net.ipv4.ip_forward", str(int(forwards)))
        network = open_network(tmp_path)
        await network.open()
        lab = Lab(tmp_path, host, neighbour, network)
        try:
            yield lab
        finally:
            await lab.network.clear()
            await lab.network.close()
            lab.close()


@contextlib.contextmanager
def third_machine(tmp_path: Path, host: int) -> Iterator[int]:
    """The namespace of another neighbour of the host, `THIRD`, whose way outward the host is; the
    thread is in the host's."""
    path = tmp_path / "lab" / "third"
    third = _new_namespace(path)
    try:
        _wire(host, third, "cable", (f"{THIRD[:-1]}1", THIRD))
        with netns.inside(third):
            _ip("route", "add", "default", "via", f"{THIRD[:-1]}1")
        yield third
    finally:
        os.close(third)
        netns.release(path)


def bridge(number: int = 17, **changes: Any) -> Bridge:
    """The network `net<number>`, 172.<number>.0.0/16."""
    subnet = Subnet(subnet=f"172.{number}.0.0/16", gateway=f"172.{number}.0.1")
    return msgspec.structs.replace(Bridge(id=f"net{number}", subnets=(subnet,)), **changes)


def attachment(last: int, number: int = 17, ifname: str = "eth0", **changes: Any) -> Attachment:
    """172.<number>.0.<last> on the network `net<number>`."""
    plain = Attachment(
        network_id=f"net{number}",
        ifname=ifname,
        interface_addresses=(f"172.{number}.0.{last}/16",),
        gateways=(f"172.{number}.0.1",),
    )
    return msgspec.structs.replace(plain, **changes)


def sandbox(last: int, number: int = 17, **changes: Any) -> Sandbox:
    """The sandbox `box<number>-<last>`, attached once."""
    plain = Sandbox(id=f"box{number}-{last}", attachments=(attachment(last, number),))
    return msgspec.structs.replace(plain, **changes)
