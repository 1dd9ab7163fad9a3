"""What a client wrote right behind its request to attach was lost: it was read as HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skep.api import Server
from skep.kit.errors import NotFound
from skep.runtime.door import Chunk

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
    async def inspect(name: str) -> Any:
        await asyncio.sleep(0.05)  # time for what is behind to come
        if name != "c":
            raise NotFound(f"No such container: {name}")
        return SimpleNamespace(id="c", config=SimpleNamespace(tty=True))

    async def attach(name: str, **options: Any) -> Echo:
        return Echo()

    async def exec_inspect(name: str) -> Any:
        return SimpleNamespace(process_config=SimpleNamespace(tty=True), open_stdin=True)

    async def exec_start(name: str, wish: Any, begin: Callable[[], Awaitable[None]]) -> Echo:
        await begin()
        return Echo()

    containers = SimpleNamespace(
        inspect=inspect, attach=attach, exec_inspect=exec_inspect, exec_start=exec_start
    )
    node: Any = SimpleNamespace(
        engine=SimpleNamespace(containers=containers),
        swarm=SimpleNamespace(info=lambda: SimpleNamespace(local_node_state="inactive")),
    )
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
