"""What a client wrote right behind its request to attach was lost: it was read as HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.api import Server
from skep.engine.containers.execs import Begin, nothing_to_begin
from skep.kit.errors import NotFound
from skep.model.container import ContainerInspect, ExecInspect, ExecProcess, ExecStart
from skep.runtime.door import Chunk
from skep.testing.node import StandInNode, running
from skep.testing.stand_in import instead_of

UPGRADE = b"Host: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
ATTACH = b"POST /containers/c/attach?stdin=1&stdout=1&stream=1 HTTP/1.1\r\n" + UPGRADE + b"\r\n"
BODY = b'{"Detach":false,"Tty":false}'
EXEC = (
    b"POST /exec/e/start HTTP/1.1\r\nContent-Type: application/json\r\n" + UPGRADE
    + b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)  # fmt: skip


class Echo:
    """A process that says what it hears."""

    def __init__(self) -> None:
        self._output: asyncio.Queue[Chunk | None] = asyncio.Queue()

    async def read(self) -> Chunk | None:
        return await self._output.get()

    async def write(self, data: bytes) -> None:
        self._output.put_nowait(Chunk(stream=1, data=data))

    def close_stdin(self) -> None:
        self._output.put_nowait(None)

    def close(self) -> None:
        self._output.put_nowait(None)


@pytest.fixture
async def sock(tmp_path: Path) -> AsyncIterator[Path]:
    node = StandInNode()
    containers = node.engine.containers

    @instead_of(containers.inspect)
    async def inspect(name: str, *, size: bool = False) -> ContainerInspect:
        await asyncio.sleep(0.05)  # time for what is behind to come
        if name != "c":
            raise NotFound(f"No such container: {name}")
        return running("c", tty=True)

    @instead_of(containers.attach)
    async def attach(name: str, **options: object) -> Echo:
        return Echo()

    @instead_of(containers.exec_inspect)
    async def exec_inspect(exec_id: str) -> ExecInspect:
        return ExecInspect(id=exec_id, process_config=ExecProcess(tty=True), open_stdin=True)

    @instead_of(containers.exec_start)
    async def exec_start(exec_id: str, wish: ExecStart, begin: Begin = nothing_to_begin) -> Echo:
        await begin()
        return Echo()

    path = tmp_path / "sock"
    server = Server(node, [f"unix://{path}"])
    await server.start()
    yield path
    await server.stop()


async def _said(sock: Path, *pieces: bytes) -> bytes:
    """All that the server says to these pieces, each in a packet of its own."""
    reader, writer = await asyncio.open_unix_connection(str(sock))
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.01)
    writer.write_eof()
    async with asyncio.timeout(10):
        said = await reader.read()
    writer.close()
    return said


@pytest.mark.parametrize("request_", [ATTACH, EXEC], ids=["attach", "exec"])
async def test_they_reach_the_process_wherever_the_packets_part(
    sock: Path, request_: bytes
) -> None:
    whole = request_ + b"EARLY\n"
    ends = {1, 20, len(request_) - 30, len(request_) - 3, len(request_), len(request_) + 2}
    for pieces in ((whole,), *((whole[:end], whole[end:]) for end in ends)):
        head, _, output = (await _said(sock, *pieces)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), pieces
        assert output == b"EARLY\n", pieces


async def test_they_are_the_next_request_when_the_first_is_refused(sock: Path) -> None:
    ping = b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"
    refused = ATTACH.replace(b"/c/", b"/other/")
    for pieces in ((refused + ping,), (refused, ping)):
        reader, writer = await asyncio.open_unix_connection(str(sock))
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            said = await reader.read()
        writer.close()
        assert said.startswith(b"HTTP/1.1 404")
        assert said.endswith(b"OK"), said


async def test_however_many_they_are(sock: Path) -> None:
    early = bytes(range(256)) * 4096
    reader, writer = await asyncio.open_unix_connection(str(sock))
    writer.write(ATTACH + early)
    writer.write_eof()
    async with asyncio.timeout(20):
        said = await reader.read()
    writer.close()
    assert said.partition(b"\r\n\r\n")[2] == early
