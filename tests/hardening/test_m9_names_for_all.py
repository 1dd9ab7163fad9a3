"""One container could keep the name service from all others: by questions to servers that are
silent, by more questions than the daemon has time for, and by a name that DNS cannot carry."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from skep.kit.share import Allowance, Share
from skep.network import dns
from skep.network.resolver import Client, Resolvers, _Open
from skep.network.upstream import Forwarder
from skep.network.values import Resolver, Zone
from skep.testing.netlab import NEIGHBOUR, Lab, bridge, laboratory, sandbox

_SILENT = "10.77.0.9"
_FUZZ = int(os.environ.get("SKEP_FUZZ", "4000"))


def _question(name: str, kind: int = dns.TYPE_A, id_: int = 0x1234) -> bytes:
    header = struct.pack("!HHHHHH", id_, 0x0100, 1, 0, 0, 0)
    return header + dns.encode_name(name) + struct.pack("!HH", kind, 1)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """The host's name server answers; another one, which the boxes 10 to 13 have, never does."""
    async with laboratory(tmp_path) as lab:
        await lab.network.ensure_bridge(bridge())
        with lab.at_neighbour():
            lab.run("ip", "addr", "add", f"{_SILENT}/24", "dev", "wire1")
            silent, answering = (_bound(address) for address in (_SILENT, NEIGHBOUR))
        asyncio.get_running_loop().add_reader(answering, _answer, answering)
        asyncio.get_running_loop().add_reader(silent, silent.recv, 4096)
        (lab.root / "resolv.conf").write_text(f"nameserver {NEIGHBOUR}\n")
        try:
            yield lab
        finally:
            for each in (silent, answering):
                asyncio.get_running_loop().remove_reader(each)
                each.close()


def _bound(address: str) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    bound.bind((address, 53))
    return bound


def _answer(bound: socket.socket) -> None:
    data, sender = bound.recvfrom(4096)
    record = dns.address_record(socket.inet_aton("203.0.113.7"), 60)
    answer = dns.answer(dns.parse_question(data), [record], dns.NO_ERROR, udp=True)
    bound.sendto(answer, sender)


def _asking(lab: Lab, sandbox_id: str) -> socket.socket:
    """A socket whose questions come to the resolver of a sandbox."""
    with lab.inside(sandbox_id):
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    asking.connect(("127.0.0.11", 53))
    return asking


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _code(asking: socket.socket, query: bytes) -> int:
    async with asyncio.timeout(20):
        asking.send(query)
        return dns.response_code(await asyncio.get_running_loop().sock_recv(asking, 4096))


async def test_silent_servers_of_some_are_not_felt_by_others(lab: Lab) -> None:
    for last in (10, 11, 12, 13):
        own = Resolver(upstreams=(_SILENT,))
        await lab.network.create_sandbox(sandbox(last, resolver=own))
    await lab.network.create_sandbox(sandbox(2, resolver=Resolver()))
    files = _open_files()
    with _asking(lab, "box17-2") as innocent:
        floods = [_asking(lab, f"box17-{last}") for last in (10, 11, 12, 13)]
        try:
            for flood in floods:
                for id_ in range(300):
                    flood.send(_question("slow.example.org", id_=id_))
                    if id_ % 50 == 0:
                        await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            assert await _code(innocent, _question("example.org")) == dns.NO_ERROR
            assert _open_files() - files < 64
        finally:
            for flood in floods:
                flood.close()


_FLOOD = """
import socket, sys, time
asking = socket.socket(fileno=int(sys.argv[1]))
asking.settimeout(0.05)
query, heard, end = bytes.fromhex(sys.argv[2]), 0, time.monotonic() + 2
while time.monotonic() < end:
    for _ in range(20):
        asking.send(query)
    try:
        for _ in range(20):
            asking.recv(4096)
            heard += 1
    except TimeoutError:
        pass
print(heard)
"""


async def test_who_asks_too_much_waits(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question costs the daemon's time, which no limit of the container counts."""
    monkeypatch.setattr("skep.network.resolver._QUESTIONS_PER_S", 200, raising=False)
    monkeypatch.setattr("skep.network.resolver._QUESTIONS_AT_ONCE", 100, raising=False)
    lab.network.set_zone("net17", Zone(name="mynet", names={"web": ("172.17.0.2",)}))
    for last in (2, 3):
        await lab.network.create_sandbox(sandbox(last, resolver=Resolver()))
    query = _question("web")
    with _asking(lab, "box17-2") as flood, _asking(lab, "box17-3") as other:
        flood.setblocking(True)
        began = time.monotonic()
        words = (sys.executable, "-c", _FLOOD, str(flood.fileno()), query.hex())
        process = await asyncio.create_subprocess_exec(
            *words, pass_fds=(flood.fileno(),), stdout=subprocess.PIPE
        )
        assert await _code(other, query) == dns.NO_ERROR
        said, _ = await process.communicate()
        took = time.monotonic() - began
        assert int(said) <= 100 + 200 * took + 20
        assert await _code(other, query) == dns.NO_ERROR


async def test_a_name_that_dns_cannot_carry_is_not_given_out(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    long = "x" * 64
    names = {long: ("172.17.0.2", "172.17.0.3"), "short": ("172.17.0.2",)}
    lab.network.set_zone("net17", Zone(name="mynet", names=names))
    await lab.network.create_sandbox(sandbox(2, resolver=Resolver()))
    with _asking(lab, "box17-2") as asking:
        asking.send(_question("2.0.17.172.in-addr.arpa", dns.TYPE_PTR))
        async with asyncio.timeout(5):
            reply = await asyncio.get_running_loop().sock_recv(asking, 4096)
        assert dns.encode_name("short.mynet") in reply
        other = _question("3.0.17.172.in-addr.arpa", dns.TYPE_PTR)
        assert await _code(asking, other) == dns.NO_ERROR  # from upstream
    assert "Traceback" not in caplog.text


def test_everybody_may_have_one() -> None:
    share = Share(total=4, each=3)
    assert [share.allows(mine) for mine in (0, 2, 3)] == [True, True, False]
    share.taken = 4
    assert [share.allows(mine) for mine in (0, 1)] == [True, False]


def test_a_pace_allows_a_burst_and_then_so_many_a_second() -> None:
    now = 100.0
    pace = Allowance(10, 5, lambda: now)
    assert [pace.borrow() for _ in range(5)] == [0.0] * 5
    assert pace.borrow() == pytest.approx(0.1)
    now = 100.3
    assert pace.borrow() == 0.0
    now = 1000.0
    assert pace.borrow() == 0.0


# -- whatever comes in -----------------------------------------------------------------------------


def _packet(chance: random.Random) -> bytes:
    """Nonsense, or a question that is a little wrong."""
    if chance.random() < 0.2:
        return chance.randbytes(chance.randrange(600))
    names = ["web", "web.mynet", "x" * 63, "2.0.17.172.in-addr.arpa", "1.ip6.arpa", "a.b.c.d.e"]
    kind = chance.choice([dns.TYPE_A, dns.TYPE_AAAA, dns.TYPE_PTR, 0, 255, 65535])
    data = bytearray(_question(chance.choice(names), kind, chance.getrandbits(16)))
    if chance.random() < 0.4:
        data[11] = 1
        data += struct.pack("!BHHIH", 0, dns.TYPE_OPT, chance.getrandbits(16), 0, 0)
    for _ in range(chance.randrange(5)):
        what = chance.randrange(4)
        at = chance.randrange(len(data)) if data else 0
        if what == 0 and data:
            data[at] = chance.getrandbits(8)
        elif what == 1:
            data[at:at] = chance.randbytes(chance.randrange(80))
        elif what == 2:
            del data[at:]
        elif data:
            data[at] = chance.choice([0, 0x3F, 0x40, 0x80, 0xC0, 0xFF])
    return bytes(data)


async def test_every_packet_is_answered_or_passed_on_or_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Seeded; SKEP_FUZZ says how many."""
    chance = random.Random(9)
    resolvers = Resolvers(Forwarder(-1, tmp_path / "none"))
    many = tuple(f"172.17.1.{n}" for n in range(1, 201))
    names = {"web": ("172.17.0.2", "fd00::2"), "a.b.c.d.e": many, "y" * 70: ("172.17.0.2",)}
    resolvers.zones.set("net17", Zone(name="mynet", names=names))
    client = Client(networks=("net17",), links={}, upstreams=(), forwards=True)
    opened = _Open(client, *cast(Any, (None, None, None)))
    for _ in range(_FUZZ):
        packet, udp = _packet(chance), chance.random() < 0.5
        reply = resolvers._reply_now(opened, packet, udp=udp)
        if isinstance(reply, bytes):
            assert reply[:2] == packet[:2]
            assert reply[2] & 0x80
            assert len(reply) <= (1232 if udp else 65535)
        else:
            assert reply is None or isinstance(reply, dns.Question)
    assert caplog.text == ""


def test_no_answer_of_a_server_is_taken_that_is_none() -> None:
    chance = random.Random(9)
    query = _question("example.org")
    for _ in range(_FUZZ):
        reply = _packet(chance)
        if dns.answers_to(reply, query):
            assert reply[:2] == query[:2]
            assert dns.response_code(reply) < 16
            assert len(dns.with_id(reply, 7)) == len(reply)
