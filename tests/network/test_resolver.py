"""Names in sandboxes: own ones, other machines' ones, and none for those who may not ask."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from skep.network import dns
from skep.network.values import Resolver, Zone
from skep.testing.netlab import HOST, NEIGHBOUR, Lab, attachment, bridge, sandbox

NAMES = {"web": ("172.17.0.2",), "tasks": ("172.17.0.2", "172.17.0.3", "172.17.0.4")}
OUTSIDE = "203.0.113.7"


def question(name: str, kind: int = dns.TYPE_A, *, edns: int = 0) -> bytes:
    header = struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 1 if edns else 0)
    tail = struct.pack("!BHHIH", 0, dns.TYPE_OPT, edns, 0, 0) if edns else b""
    return header + dns.encode_name(name) + struct.pack("!HH", kind, 1) + tail


def addresses(reply: bytes) -> tuple[int, list[str]]:
    """Response code and addresses of an answer to `question`."""
    (_, _, _, count, _, _) = struct.unpack_from("!HHHHHH", reply)
    offset = reply.index(b"\0", 12) + 5
    found = []
    for _ in range(count):
        kind, _, _, length = struct.unpack_from("!HHIH", reply, offset + 2)
        data = reply[offset + 12 : offset + 12 + length]
        family = socket.AF_INET if kind == dns.TYPE_A else socket.AF_INET6
        found.append(socket.inet_ntop(family, data) if kind != dns.TYPE_PTR else _name(data))
        offset += 12 + length
    return dns.response_code(reply), found


def _name(data: bytes) -> str:
    labels, offset = [], 0
    while data[offset]:
        labels.append(data[offset + 1 : offset + 1 + data[offset]].decode())
        offset += 1 + data[offset]
    return ".".join(labels)


def ask(lab: Lab, sandbox_id: str, query: bytes, *, tcp: bool = False) -> asyncio.Task[bytes]:
    """Ask 127.0.0.11:53 in a sandbox."""
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with lab.inside(sandbox_id):
        asking = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)

    async def exchange() -> bytes:
        loop = asyncio.get_running_loop()
        with asking:
            async with asyncio.timeout(2):
                await loop.sock_connect(asking, ("127.0.0.11", 53))
                await loop.sock_sendall(asking, _framed(query) if tcp else query)
                data = await loop.sock_recv(asking, 65535)
                while tcp and len(data) < 2 + struct.unpack_from("!H", data)[0]:
                    data += await loop.sock_recv(asking, 65535)
                return data[2:] if tcp else data

    return asyncio.create_task(exchange())


def _framed(message: bytes) -> bytes:
    return struct.pack("!H", len(message)) + message


class Upstream:
    """A name server that answers everything with one address, and counts."""

    def __init__(self, address: str = OUTSIDE, code: int = dns.NO_ERROR) -> None:
        self.asked = 0
        self._address, self._code = address, code

    def reply(self, data: bytes, *, udp: bool) -> bytes:
        self.asked += 1
        record = dns.address_record(socket.inet_aton(self._address), 60)
        records = [record] * (1 if self._code == dns.NO_ERROR else 0)
        return dns.answer(dns.parse_question(data), records, self._code, udp=udp)

    async def listen(self, lab: Lab, address: str) -> None:
        """At port 53 of `address`, where the thread is now."""
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        udp.bind((address, 53))
        tcp = socket.create_server((address, 53))

        def answer() -> None:
            data, sender = udp.recvfrom(4096)
            udp.sendto(self.reply(data, udp=True), sender)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            reply = self.reply(await reader.readexactly(length), udp=False)
            writer.write(_framed(reply))
            writer.close()

        asyncio.get_running_loop().add_reader(udp, answer)
        lab.adopt(udp, await asyncio.start_server(serve, sock=tcp))


@pytest.fixture
async def named(lab: Lab) -> Lab:
    """A network with names, and two sandboxes on it that have a resolver."""
    await lab.network.ensure_bridge(bridge())
    lab.network.set_zone("net17", Zone(name="mynet", names=NAMES))
    for last in (2, 3):
        await lab.network.create_sandbox(sandbox(last, resolver=Resolver()))
    return lab


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("name", ["web", "WEB", "web.mynet"])
async def test_names_of_the_network_are_known(named: Lab, name: str, tcp: bool) -> None:
    reply = await ask(named, "box17-3", question(name), tcp=tcp)
    assert addresses(reply) == (dns.NO_ERROR, ["172.17.0.2"])


async def test_addresses_of_one_name_come_in_changing_order(named: Lab) -> None:
    replies = [addresses(await ask(named, "box17-3", question("tasks")))[1] for _ in range(40)]
    assert {reply[0] for reply in replies} == set(NAMES["tasks"])
    assert all(sorted(reply) == sorted(NAMES["tasks"]) for reply in replies)


async def test_a_name_without_such_a_record_exists_all_the_same(named: Lab) -> None:
    reply = await ask(named, "box17-3", question("web", dns.TYPE_AAAA))
    assert addresses(reply) == (dns.NO_ERROR, [])


async def test_an_address_has_its_name(named: Lab) -> None:
    reply = await ask(named, "box17-3", question("2.0.17.172.in-addr.arpa", dns.TYPE_PTR))
    assert addresses(reply) == (dns.NO_ERROR, ["web.mynet"])


async def test_changes_are_seen_by_the_next_question(named: Lab) -> None:
    named.network.update_names("net17", {"web": ("172.17.0.9",), "new": ("172.17.0.8",)})
    replies = [await ask(named, "box17-3", question(name)) for name in ("web", "new")]
    assert [addresses(reply)[1] for reply in replies] == [["172.17.0.9"], ["172.17.0.8"]]
    named.network.update_names("net17", {"web": ()})
    assert addresses(await ask(named, "box17-3", question("web")))[0] != dns.NO_ERROR


async def test_names_of_other_networks_are_not_seen_until_connected(named: Lab) -> None:
    await named.network.ensure_bridge(bridge(18))
    named.network.set_zone("net18", Zone(name="other", names={"db": ("172.18.0.2",)}))
    assert addresses(await ask(named, "box17-3", question("db")))[0] == dns.SERVER_FAILURE
    await named.network.connect("box17-3", attachment(3, 18, "eth1"))
    assert addresses(await ask(named, "box17-3", question("db")))[1] == ["172.18.0.2"]
    await named.network.disconnect("box17-3", "net18")
    assert addresses(await ask(named, "box17-3", question("db")))[0] == dns.SERVER_FAILURE


async def test_links_are_seen_by_one_sandbox_only(named: Lab) -> None:
    resolver = Resolver(links={"alias": ("172.17.0.2",)})
    await named.network.create_sandbox(sandbox(4, resolver=resolver))
    assert addresses(await ask(named, "box17-4", question("alias")))[1] == ["172.17.0.2"]
    assert addresses(await ask(named, "box17-3", question("alias")))[0] != dns.NO_ERROR


@pytest.mark.parametrize("tcp", [False, True])
async def test_other_names_are_asked_from_the_host_s_servers(named: Lab, tcp: bool) -> None:
    upstream = Upstream()
    with named.at_neighbour():
        await upstream.listen(named, NEIGHBOUR)
    (named.root / "resolv.conf").write_text(f"nameserver {NEIGHBOUR}\n")
    query = question("example.org")
    reply = await ask(named, "box17-3", query, tcp=tcp)
    assert addresses(reply) == (dns.NO_ERROR, [OUTSIDE])
    assert reply[:2] == query[:2]
    assert upstream.asked == 1


async def test_servers_of_its_own_are_asked_from_within_the_sandbox(named: Lab) -> None:
    upstream = Upstream("198.51.100.1")
    with named.inside("box17-2"):
        await upstream.listen(named, "172.17.0.2")
    resolver = Resolver(upstreams=("172.17.0.2",))
    await named.network.create_sandbox(sandbox(4, resolver=resolver))
    assert addresses(await ask(named, "box17-4", question("example.org")))[1] == ["198.51.100.1"]


async def test_a_server_that_fails_is_followed_by_the_next(named: Lab) -> None:
    failing, refusing, good = Upstream(code=dns.SERVER_FAILURE), "10.77.0.9", Upstream()
    with named.at_neighbour():
        named.run("ip", "addr", "add", "10.77.0.3/24", "dev", "wire1")
        named.run("ip", "addr", "add", f"{refusing}/24", "dev", "wire1")
        await failing.listen(named, NEIGHBOUR)
        await good.listen(named, "10.77.0.3")
    servers = "".join(f"nameserver {s}\n" for s in (NEIGHBOUR, refusing, "10.77.0.3"))
    (named.root / "resolv.conf").write_text(servers)
    assert addresses(await ask(named, "box17-3", question("example.org")))[1] == [OUTSIDE]


async def test_without_any_server_the_answer_is_a_failure_at_once(named: Lab) -> None:
    reply = await ask(named, "box17-3", question("example.org"))
    assert addresses(reply) == (dns.SERVER_FAILURE, [])


async def test_questions_of_internal_networks_never_leave(lab: Lab) -> None:
    upstream = Upstream()
    await upstream.listen(lab, HOST)
    (lab.root / "resolv.conf").write_text(f"nameserver {HOST}\n")
    await lab.network.ensure_bridge(bridge(internal=True))
    await lab.network.create_sandbox(sandbox(2, resolver=Resolver()))
    reply = await ask(lab, "box17-2", question("example.org"))
    assert addresses(reply) == (dns.NAME_ERROR, [])
    assert upstream.asked == 0


async def test_a_long_answer_is_cut_for_udp_and_whole_for_tcp(named: Lab) -> None:
    many = tuple(f"172.17.1.{n}" for n in range(1, 201))
    named.network.update_names("net17", {"many": many})
    plain = await ask(named, "box17-3", question("many"))
    longer = await ask(named, "box17-3", question("many", edns=4096))
    whole = await ask(named, "box17-3", question("many", edns=4096), tcp=True)
    truncated = [bool(reply[2] & 0x02) for reply in (plain, longer, whole)]
    assert truncated == [True, True, False]
    assert len(plain) <= 512 < len(longer) <= 1232
    assert set(addresses(whole)[1]) == set(many)


async def test_a_program_in_the_sandbox_may_have_port_53(named: Lab) -> None:
    own = Upstream("192.0.2.1")
    with named.inside("box17-2"):
        await own.listen(named, "0.0.0.0")
    assert addresses(await ask(named, "box17-2", question("web")))[1] == ["172.17.0.2"]


async def test_nonsense_is_refused_and_does_no_harm(named: Lab) -> None:
    reply = await ask(named, "box17-3", b"\x12\x34" + bytes(10))
    assert (reply[:2], dns.response_code(reply)) == (b"\x12\x34", dns.FORMAT_ERROR)
    assert addresses(await ask(named, "box17-3", question("web")))[1] == ["172.17.0.2"]


async def test_it_answers_again_after_a_restart(named: Lab) -> None:
    await named.restart()
    boxes = [sandbox(last, resolver=Resolver()) for last in (2, 3)]
    assert await named.network.repair([bridge()], boxes, {}) == {}
    named.network.set_zone("net17", Zone(name="mynet", names=NAMES))
    assert addresses(await ask(named, "box17-3", question("web")))[1] == ["172.17.0.2"]
