"""Attaching to processes: a connection that both sides write to."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest

from skep.api import Server
from skep.api.streams import frame
from skep.engine.containers.execs import Begin, nothing_to_begin
from skep.kit.errors import InvalidArgument, NotFound
from skep.model.container import ContainerInspect, ExecInspect, ExecProcess, ExecStart
from skep.runtime.door import Chunk
from skep.testing.node import StandInNode, running
from skep.testing.stand_in import instead_of

UPGRADE = b"Connection: Upgrade\r\nUpgrade: tcp\r\n"


class Process:
    """A process's side: says back what it hears (on both streams), and then what it was told to."""

    def __init__(self, *last_words: bytes) -> None:
        self.last_words = last_words
        self.heard: list[bytes] = []
        self.closed = False
        self._output: asyncio.Queue[Chunk | None] = asyncio.Queue()

    async def read(self) -> Chunk | None:
        return await self._output.get()

    async def write(self, data: bytes) -> None:
        self.heard.append(data)
        self.say(1, data)
        self.say(2, data.upper())

    def say(self, stream: int, data: bytes) -> None:
        self._output.put_nowait(Chunk(stream=stream, data=data))

    def close_stdin(self) -> None:
        for word in self.last_words:
            self.say(1, word)
        self._output.put_nowait(None)

    def close(self) -> None:
        self.closed = True
        self._output.put_nowait(None)


def attachable(node: StandInNode, process: Process, tty: bool = False) -> None:
    @instead_of(node.engine.containers.inspect)
    async def inspect(name: str, *, size: bool = False) -> ContainerInspect:
        return running(tty=tty)

    @instead_of(node.engine.containers.attach)
    async def attach(name: str, **options: object) -> Process:
        node.calls.append(options)
        return process


async def connect(sock: Path, head: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(str(sock))
    writer.write(head)
    return reader, writer


async def head_of(reader: asyncio.StreamReader) -> tuple[bytes, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
    pairs = (line.decode().split(": ", 1) for line in lines[1:])
    return lines[0], dict(pairs)


@pytest.mark.parametrize(
    ("tty", "kind", "said"),
    [
        (False, "multiplexed", frame(1, b"hello") + frame(2, b"HELLO") + frame(1, b"bye")),
        (True, "raw", b"helloHELLObye"),
    ],
)
async def test_an_attached_client_speaks_and_listens_and_stops_speaking(
    node: StandInNode, server: Server, sock: Path, tty: bool, kind: str, said: bytes
) -> None:
    process = Process(b"bye")
    attachable(node, process, tty)
    reader, writer = await connect(
        sock,
        b"POST /v1.50/containers/c/attach?stdin=1&stdout=1&stderr=1&stream=1 HTTP/1.1\r\n"
        b"Host: d\r\n" + UPGRADE + b"\r\n",
    )
    status, headers = await head_of(reader)
    assert status == b"HTTP/1.1 101 UPGRADED"
    assert headers["Content-Type"] == f"application/vnd.docker.{kind}-stream"
    assert (headers["Connection"], headers["Upgrade"]) == ("Upgrade", "tcp")
    writer.write(b"hello")
    writer.write_eof()
    assert await reader.read() == said
    writer.close()
    assert process.closed


async def test_without_an_upgrade_the_answer_is_a_plain_200(
    node: StandInNode, server: Server, sock: Path
) -> None:
    process = Process()
    attachable(node, process)
    reader, writer = await connect(
        sock, b"POST /containers/c/attach?stdout=1&stream=1 HTTP/1.1\r\nHost: d\r\n\r\n"
    )
    status, headers = await head_of(reader)
    assert status == b"HTTP/1.1 200 OK"
    assert headers["Content-Type"] == "application/vnd.docker.raw-stream"
    assert "Upgrade" not in headers
    process.say(1, b"out")
    assert await reader.readexactly(11) == frame(1, b"out")
    writer.close()


async def test_a_client_that_hangs_up_is_let_go(
    node: StandInNode, server: Server, sock: Path
) -> None:
    process = Process()
    attachable(node, process)
    reader, writer = await connect(
        sock,
        b"POST /containers/c/attach?stdout=1&stream=1 HTTP/1.1\r\nHost: d\r\n" + UPGRADE + b"\r\n",
    )
    await head_of(reader)
    writer.close()
    async with asyncio.timeout(5):
        while not process.closed:
            await asyncio.sleep(0.01)


async def test_a_client_that_stopped_speaking_and_then_hangs_up_is_let_go(
    node: StandInNode, server: Server, sock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skep.http.hijack._HANG_UP_CHECK_S", 0.05)
    process = Process()
    attachable(node, process)
    reader, writer = await connect(
        sock,
        b"POST /containers/c/attach?stdout=1&stream=1 HTTP/1.1\r\nHost: d\r\n" + UPGRADE + b"\r\n",
    )
    await head_of(reader)
    writer.write_eof()
    process.say(1, b"still here")
    assert await reader.readexactly(18) == frame(1, b"still here")
    assert not process.closed
    writer.close()
    async with asyncio.timeout(5):
        while not process.closed:
            await asyncio.sleep(0.01)


async def test_input_waits_for_a_process_that_does_not_read(
    node: StandInNode, server: Server, sock: Path
) -> None:
    stuck = asyncio.Event()

    class Deaf(Process):
        async def write(self, data: bytes) -> None:
            await stuck.wait()

    attachable(node, Deaf())
    reader, writer = await connect(
        sock,
        b"POST /containers/c/attach?stdin=1&stream=1 HTTP/1.1\r\nHost: d\r\n" + UPGRADE + b"\r\n",
    )
    await head_of(reader)
    sent = await _send_until_stuck(writer)
    assert sent < 4_000_000
    writer.transport.abort()


async def _send_until_stuck(writer: asyncio.StreamWriter) -> int:
    sent = 0
    try:
        async with asyncio.timeout(0.5):
            while sent < 16_000_000:
                writer.write(bytes(65536))
                await writer.drain()
                sent += 65536
    except TimeoutError:
        pass
    return sent


async def test_output_waits_for_a_client_that_does_not_read(
    node: StandInNode, server: Server, sock: Path
) -> None:
    given = 0

    class Chatty(Process):
        async def read(self) -> Chunk:
            nonlocal given
            given += 1
            await asyncio.sleep(0)
            return Chunk(stream=1, data=bytes(65536))

    process = Chatty()
    attachable(node, process)
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(sock))
        slow.sendall(
            b"POST /containers/c/attach?stdout=1&stream=1 HTTP/1.1\r\nHost: d\r\n"
            + UPGRADE
            + b"\r\n"
        )
        await asyncio.sleep(0.3)
        assert 0 < given < 20
    async with asyncio.timeout(5):
        while not process.closed:
            await asyncio.sleep(0.01)


async def test_a_connection_leaves_nothing_behind(
    node: StandInNode, server: Server, sock: Path
) -> None:
    attachable(node, Process())
    _, writer = await connect(
        sock,
        b"POST /containers/c/attach?stdin=1&stream=1 HTTP/1.1\r\nHost: d\r\n" + UPGRADE + b"\r\n",
    )
    writer.write_eof()
    async with asyncio.timeout(5):
        while server.connections:
            await asyncio.sleep(0.01)
    writer.close()


def executable(
    node: StandInNode,
    process: Process | None,
    error: Exception | None = None,
    *,
    tried: bool = False,
) -> ExecInspect:
    """An exec that runs `process`, or fails: before it was begun or, `tried`, after it."""
    found = ExecInspect(id="e1", process_config=ExecProcess(), open_stdin=True)

    @instead_of(node.engine.containers.exec_inspect)
    async def exec_inspect(exec_id: str) -> ExecInspect:
        return found

    @instead_of(node.engine.containers.exec_start)
    async def exec_start(
        exec_id: str, wish: ExecStart, begin: Begin = nothing_to_begin
    ) -> Process | None:
        node.calls.append(wish)
        if error is None or tried:
            await begin()
        if error:
            raise error
        return process

    return found


async def test_an_exec_s_options_are_not_taken_for_its_input(
    node: StandInNode, server: Server, sock: Path
) -> None:
    process = Process(b"done")
    executable(node, process)
    body = b'{"Detach":false,"Tty":false}'
    reader, writer = await connect(
        sock,
        b"POST /exec/e1/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
        + UPGRADE
        + b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
    )
    assert (await head_of(reader))[0] == b"HTTP/1.1 101 UPGRADED"
    writer.write(b"input")
    writer.write_eof()
    assert await reader.read() == frame(1, b"input") + frame(2, b"INPUT") + frame(1, b"done")
    writer.close()


async def test_an_exec_is_answered_before_it_runs(
    node: StandInNode, server: Server, sock: Path
) -> None:
    """docker's Python library reads the head with a buffer and throws the rest of that away."""
    described = executable(node, None)
    runs = asyncio.Event()

    @instead_of(node.engine.containers.exec_start)
    async def exec_start(
        exec_id: str, wish: ExecStart, begin: Begin = nothing_to_begin
    ) -> Process | None:
        await begin()
        await runs.wait()
        return Process(b"quick")

    reader, writer = await connect(
        sock, b"POST /exec/e1/start HTTP/1.1\r\nHost: d\r\n" + UPGRADE + b"\r\n"
    )
    assert (await head_of(reader))[0] == b"HTTP/1.1 101 UPGRADED"
    runs.set()
    writer.write_eof()
    assert described.open_stdin
    assert await reader.read() == frame(1, b"quick")
    writer.close()


async def test_a_detached_exec_is_answered_at_once(
    node: StandInNode, http: aiohttp.ClientSession
) -> None:
    executable(node, None)
    answer = await http.post("/exec/e1/start", json={"Detach": True})
    assert (answer.status, await answer.read()) == (200, b"")


async def test_an_exec_that_is_not_there_is_an_error(
    node: StandInNode, http: aiohttp.ClientSession
) -> None:
    executable(node, None, NotFound("No such exec instance: e1"))
    answer = await http.post("/exec/e1/start", json={})
    assert (answer.status, await answer.json()) == (404, {"message": "No such exec instance: e1"})


async def test_a_program_that_cannot_run_says_so_as_its_output(
    node: StandInNode, server: Server, sock: Path
) -> None:
    executable(node, None, InvalidArgument('exec: "nosuch": not found'), tried=True)
    reader, writer = await connect(
        sock, b"POST /exec/e1/start HTTP/1.1\r\nHost: d\r\n" + UPGRADE + b"\r\n"
    )
    assert (await head_of(reader))[0] == b"HTTP/1.1 101 UPGRADED"
    assert await reader.read() == frame(1, b'exec: "nosuch": not found\r\n')
    writer.close()
