"""Whoever calls at the managers' port: the cluster goes on, memory stays bounded, and each refusal
is said once."""

from __future__ import annotations

import asyncio
import random
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from skep.agent.identity import Identity
from skep.kit.clock import utc_now
from skep.kit.errors import Unavailable
from skep.manager.ca import authority
from skep.model.cluster import ClusterSecrets
from skep.model.node import NodeDescription
from skep.model.states import TaskState
from skep.model.task import TaskStatus
from skep.protocol import listener
from skep.protocol.joining import JoinRequest, Refused, RootRequest, ToStranger
from skep.protocol.link import LinkClosed
from skep.protocol.messages import (
    Assignments,
    FromManager,
    Goodbye,
    Heartbeat,
    Hello,
    Statuses,
    TaskReport,
    Welcome,
)
from skep.protocol.signing import new_request
from skep.protocol.tls import (
    MANAGER_NAME,
    CertificateFiles,
    connect,
    member_context,
    server_context,
    stranger_context,
)
from skep.protocol.wire import WireLink, pack
from skep.testing.control_plane import ControlPlane, FakeNode, free_port

DAY_NS = 24 * 3600 * 10**9


@pytest.fixture
async def good(plane: ControlPlane, caplog: pytest.LogCaptureFixture) -> AsyncIterator[FakeNode]:
    """A node in a session, which must outlive whatever the test does; afterwards another joins."""
    node = await plane.join("good")
    service = await plane.create_service(2)
    await plane.until(lambda: len(plane.running(service)) == 2)
    session, tasks = node.agent._session, plane.running(service)
    caplog.clear()
    yield node
    assert node.agent._session is session
    assert plane.running(service) == tasks
    assert (await plane.join("later")).agent.connected.is_set()
    await plane.until(lambda: plane.manager.reception.unproven == 0)


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if message.startswith("refused ")]


def secrets_of(plane: ControlPlane) -> ClusterSecrets:
    secrets = plane.manager.store.view.cluster_secrets()
    assert secrets is not None
    return secrets


def identity(
    folder: Path,
    secrets: ClusterSecrets,
    node_id: str,
    *,
    roots: str,
    age: timedelta = timedelta(0),
) -> CertificateFiles:
    """A worker's files: the certificate is of `secrets`, and was made `age` ago for a day."""
    folder.mkdir()
    key, request = new_request()
    made = utc_now() - age
    certificate = authority.sign(secrets, request, node_id, "worker", DAY_NS, made)
    here = Identity(folder, random.Random(1))
    here.install(key, certificate, roots)
    return here.files


async def answer_to(plane: ControlPlane, files: CertificateFiles) -> Any:
    """What a caller with this certificate is told when it wants a session."""
    link = await connect(plane.address, member_context(files), FromManager)
    try:
        await link.send(Hello(NodeDescription(hostname="intruder")))
        async with asyncio.timeout(5):
            return await link.receive()
    finally:
        link.abort()


async def talk(plane: ControlPlane, data: bytes) -> bytes:
    """Send bytes without TLS, read until the port hangs up."""
    reader, writer = await asyncio.open_connection(*plane.address.split(":"))
    writer.write(data)
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_who_speaks_no_tls_is_hung_up_on_at_once(
    plane: ControlPlane, good: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        assert await talk(plane, b"GET / HTTP/1.1\r\nHost: manager\r\n\r\n") == b""
    assert refusals(caplog) == ["refused 127.0.0.1: it does not speak TLS"]


async def test_a_port_scan_is_one_line(
    plane: ControlPlane, good: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        _, writer = await asyncio.open_connection(*plane.address.split(":"))
        writer.close()
    await plane.until(lambda: bool(refusals(caplog)))
    assert refusals(caplog) == ["refused 127.0.0.1: it hung up without a word"]


async def test_tls_1_2_is_not_spoken(
    plane: ControlPlane, good: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    for _ in range(3):
        with pytest.raises(Unavailable, match="hung up before it said who it is"):
            await connect(plane.address, old, ToStranger)
    await plane.until(lambda: bool(refusals(caplog)))
    assert refusals(caplog) == ["refused 127.0.0.1: no TLS 1.3 handshake: unsupported protocol"]


async def test_without_a_certificate_one_can_only_ask_to_join(
    plane: ControlPlane, good: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    context = stranger_context(secrets_of(plane).root_certificate)
    for word in (Hello(NodeDescription()), Heartbeat(1.0), Statuses([])):
        link = await connect(plane.address, context, ToStranger)
        await link.send(word)
        with pytest.raises(LinkClosed):
            await link.receive()
    assert len(refusals(caplog)) == 1
    assert refusals(caplog)[0].startswith("refused 127.0.0.1: it does not speak our protocol")


async def test_a_stranger_gets_one_answer(plane: ControlPlane, good: FakeNode) -> None:
    link = await connect(plane.address, stranger_context(None), ToStranger)
    await link.send(RootRequest())
    await link.receive()
    with pytest.raises(LinkClosed):
        await link.send(RootRequest())
        await link.receive()


async def test_guessing_tokens_is_slow_and_keeps_nobody_out(
    plane: ControlPlane, good: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = plane.manager.control.cluster.join_tokens()
    wrong = tokens.worker[:-25] + "0" * 25
    _, request = await asyncio.to_thread(new_request)

    async def guess() -> Any:
        link = await connect(plane.address, stranger_context(None), ToStranger)
        await link.send(JoinRequest(wrong, request, time.time()))
        try:
            return await link.receive()
        finally:
            link.abort()

    began = time.monotonic()
    answers = await asyncio.gather(*(guess() for _ in range(40)))
    assert time.monotonic() - began >= 0.5
    assert all(isinstance(a, Refused) and "A valid join token" in a.reason for a in answers)
    assert len(refusals(caplog)) == 1


async def test_another_cluster_s_certificate_is_worth_nothing(
    plane: ControlPlane, good: FakeNode, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even one that names this cluster and a node of it."""
    forged = authority.new_secrets(secrets_of(plane).id, utc_now())
    files = identity(tmp_path / "forged", forged, good.id, roots=secrets_of(plane).root_certificate)
    with pytest.raises((LinkClosed, Unavailable)):
        await answer_to(plane, files)
    assert len(refusals(caplog)) == 1
    assert refusals(caplog)[0].startswith("refused 127.0.0.1: its certificate is refused: ")


async def test_an_expired_certificate_is_worth_nothing(
    plane: ControlPlane, good: FakeNode, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = secrets_of(plane)
    files = identity(
        tmp_path / "old", secrets, good.id, roots=secrets.root_certificate, age=timedelta(days=2)
    )
    with pytest.raises((LinkClosed, Unavailable)):
        await answer_to(plane, files)
    assert refusals(caplog) == [
        "refused 127.0.0.1: its certificate is refused: certificate has expired"
    ]


async def test_a_removed_node_is_told_that_it_is(
    plane: ControlPlane, good: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    removed = await plane.enrol("removed")
    await plane.manager.control.nodes.remove(removed.id, force=True)
    goodbye = Goodbye("the node was removed from the cluster", removed=True)
    assert await answer_to(plane, removed.identity.files) == goodbye
    assert refusals(caplog) == [
        f"refused 127.0.0.1: the node was removed from the cluster: {removed.id}"
    ]


async def test_a_certificate_of_this_root_for_a_cluster_of_another_name_is_refused(
    plane: ControlPlane, good: FakeNode, tmp_path: Path
) -> None:
    """Two clusters may be made with one certificate authority."""
    secrets = secrets_of(plane)
    named = replace(secrets, id="another")
    files = identity(tmp_path / "other", named, good.id, roots=secrets.root_certificate)
    assert await answer_to(plane, files) == Goodbye("the certificate is another cluster's")


async def test_a_worker_cannot_speak_as_a_manager(
    plane: ControlPlane, good: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    intruder = await plane.enrol("intruder")
    for word in (Assignments(), RootRequest(), Goodbye("go away", removed=True)):
        link = await connect(plane.address, member_context(intruder.identity.files), FromManager)
        await link.send(word)
        with pytest.raises(LinkClosed):
            await link.receive()


async def test_a_worker_cannot_be_the_manager_of_others(
    plane: ControlPlane, good: FakeNode
) -> None:
    """Its certificate does not have the name that every node looks for in a manager's."""
    intruder = await plane.enrol("intruder")
    server = await asyncio.get_running_loop().create_server(
        lambda: WireLink(Any),
        "127.0.0.1",
        port := free_port(),
        ssl=server_context(intruder.identity.files),
    )
    with pytest.raises(Unavailable, match="cannot be trusted"):
        await connect(f"127.0.0.1:{port}", good.identity.client_context(), FromManager)
    server.close()


async def test_a_worker_cannot_report_on_another_s_tasks(
    plane: ControlPlane, good: FakeNode
) -> None:
    """Nor hold back what the other says by saying something of its own."""
    intruder = await plane.enrol("intruder")
    task_id = good.agent.worker.reports()[0].task_id
    link = await connect(plane.address, member_context(intruder.identity.files), FromManager)
    await link.send(Hello(NodeDescription(hostname="intruder")))
    assert isinstance(await link.receive(), Welcome)
    status = TaskStatus(timestamp=utc_now(), state=TaskState.FAILED, err="so I say")
    await link.send(Statuses([TaskReport(task_id, status), TaskReport("no-such-task", status)]))
    await asyncio.sleep(0.3)
    task = plane.manager.store.view.task(task_id)
    assert task is not None
    assert task.status.state is TaskState.RUNNING
    link.abort()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 64,
        (2**31).to_bytes(4),
        (4).to_bytes(4) + b"\xc1" * 4,
        bytes(4),
        random.Random(7).randbytes(4096),
    ],
    ids=["ones", "2 GiB", "no msgpack", "empty", "noise"],
)
async def test_garbage_from_a_member_ends_its_line_and_no_other(
    plane: ControlPlane, good: FakeNode, garbage: bytes
) -> None:
    member = await plane.enrol("member")
    for greeting in (b"", pack(Hello(NodeDescription(hostname="member")))):
        link = await connect(plane.address, member_context(member.identity.files), FromManager)
        link.transport.write(greeting + garbage)
        with pytest.raises(LinkClosed):
            async with asyncio.timeout(5):
                while True:
                    await link.receive()


async def test_one_node_cannot_hold_many_lines(plane: ControlPlane, good: FakeNode) -> None:
    member = await plane.enrol("member")
    links = [
        await connect(plane.address, member_context(member.identity.files), FromManager)
        for _ in range(8)
    ]
    answers = await asyncio.gather(
        *(asyncio.wait_for(link.receive(), 1.0) for link in links), return_exceptions=True
    )
    refused = [a for a in answers if isinstance(a, Goodbye)]
    assert refused == [Goodbye("the node holds too many lines to this manager already")] * 4
    for link in links:
        link.abort()


def client_hello() -> bytes:
    """The first bytes of a TLS 1.3 handshake, by somebody who will say no more."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    half = stranger_context(None).wrap_bio(incoming, outgoing, server_hostname=MANAGER_NAME)
    with pytest.raises(ssl.SSLWantReadError):
        half.do_handshake()
    return outgoing.read()


@contextmanager
def callers(
    plane: ControlPlane, count: int, source: str, word: bytes
) -> Iterator[list[socket.socket]]:
    """So many connections from `source` that say `word` and wait."""
    host, port = plane.address.split(":")
    held = []
    try:
        for _ in range(count):
            line = socket.create_connection((host, int(port)), source_address=(source, 0))
            line.sendall(word)
            held.append(line)
        yield held
    finally:
        for line in held:
            line.close()


async def test_handshakes_that_never_finish_do_not_shut_the_door(
    plane: ControlPlane, good: FakeNode
) -> None:
    """Who comes from elsewhere is let in at once, though they hold every place."""
    with callers(plane, 600, "127.0.0.2", client_hello()):
        await plane.until(lambda: plane.manager.reception.unproven > 500)
        began = time.monotonic()
        await plane.join("during")
        assert time.monotonic() - began < 2.0


async def test_handshakes_that_never_finish_end(
    plane: ControlPlane, good: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes from the same address waits until those before had their time."""
    monkeypatch.setattr(listener, "_HANDSHAKE_S", 1.0)
    with callers(plane, 300, "127.0.0.1", client_hello()):
        await plane.join("during")


async def test_slow_words_end(
    plane: ControlPlane,
    good: FakeNode,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A byte now and then keeps nobody's place: the whole of it must come in time."""
    monkeypatch.setattr(listener, "_HANDSHAKE_S", 1.0)
    monkeypatch.setattr(listener, "_PROOF_S", 1.5)
    hello = client_hello()

    async def dribble() -> float:
        reader, writer = await asyncio.open_connection(*plane.address.split(":"))
        began = time.monotonic()
        try:
            for byte in hello:
                writer.write(bytes([byte]))
                await writer.drain()
                if await _ended(reader, 0.05):
                    break
        except ConnectionError:
            pass
        writer.close()
        return time.monotonic() - began

    async def mumble() -> float:
        link = await connect(plane.address, stranger_context(None), ToStranger)
        began = time.monotonic()
        with pytest.raises(LinkClosed):
            for byte in pack(RootRequest()):
                link.transport.write(bytes([byte]))
                await asyncio.sleep(0.1)
            await link.receive()
        return time.monotonic() - began

    lasted = await asyncio.gather(dribble(), mumble())
    assert max(lasted) < 4.0
    assert len(refusals(caplog)) <= 2


async def _ended(reader: asyncio.StreamReader, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            return await reader.read(1) == b""
    except TimeoutError:
        return False


_FLOOD = """
import resource, socket, struct, sys, time
IP_BIND_ADDRESS_NO_PORT, AT_ONCE = 24, struct.pack("ii", 1, 0)
host, port, count, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
source, word = sys.argv[5], bytes.fromhex(sys.argv[6])
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
held, opened, until = [], 0, time.monotonic() + seconds
while time.monotonic() < until:
    line = socket.socket()
    line.setblocking(False)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    line.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    try:
        line.bind((source, 0))
        line.connect((host, port))
    except BlockingIOError:
        pass
    except OSError:
        line.close()
        continue
    held.append(line)
    opened += 1
    if word:
        try:
            line.send(word)
        except OSError:
            pass
    if len(held) >= count:
        held.pop(0).close()
    if opened == count:
        print("all are open", flush=True)
print(opened)
"""


@contextmanager
def flood(
    plane: ControlPlane, count: int, source: str, word: bytes
) -> Iterator[subprocess.Popen[str]]:
    """Another process that opens connections without end and keeps the last `count` open. It leaves
    nothing behind in the kernel, or it would soon be short of ports."""
    where = plane.address.split(":")
    argv = [sys.executable, "-c", _FLOOD, *where, str(count), "60", source, word.hex()]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def resident_bytes() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize()


@pytest.mark.parametrize(
    ("source", "word"),
    [("127.0.0.2", b""), ("127.0.0.2", client_hello())],
    ids=["that say nothing", "that begin a handshake"],
)
async def test_ten_thousand_half_open_connections(
    plane: ControlPlane,
    good: FakeNode,
    caplog: pytest.LogCaptureFixture,
    source: str,
    word: bytes,
) -> None:
    """Of all that are ever opened only a bounded number is kept, and nodes join meanwhile."""
    before = resident_bytes()
    with flood(plane, 10_000, source, word) as process:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        assert line == "all are open\n"
        async with asyncio.timeout(10):
            for number in range(3):
                await plane.join(f"during{number}")
        assert plane.manager.reception.unproven <= 2_048 + 256
        grown = resident_bytes() - before
    print(f"10,000 connections {word[:1]!r} cost {grown / 2**20:.1f} MiB")
    assert grown < 32 * 2**20
    assert len(refusals(caplog)) <= 4
    await plane.until(lambda: plane.manager.reception.unproven == 0)
