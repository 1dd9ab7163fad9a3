"""A client that was attached to a container and did not read stopped it in write(2), for as long as
it slept. It is let go after a while; one that is only slow still gets everything."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from skep.api import Server
from skep.testing.engine_host import EngineHost, engine_host
from skep.testing.node import StandInNode

LINES = 100_000
LINE = b"01234567890123456789012345678901234567890123456789\n"
WRITE = f"yes {LINE.decode().strip()} | head -n {LINES}"
"""Ten times what pipes and sockets hold."""


@asynccontextmanager
async def served(tmp_path: Path) -> AsyncIterator[tuple[EngineHost, Path]]:
    sock = tmp_path / "api.sock"
    async with engine_host(tmp_path) as host:
        server = Server(StandInNode(host.engine), [f"unix://{sock}"])
        await server.start()
        yield host, sock
        await server.stop()


async def attached(sock: Path, container_id: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, str(sock))
    path = f"/containers/{container_id}/attach?stream=1&stdout=1&stderr=1"
    head = f"POST {path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    await loop.sock_sendall(client, head.encode())
    assert (await loop.sock_recv(client, 12)) == b"HTTP/1.1 101"
    return client


async def everything(client: socket.socket, pause_s: float = 0.0) -> dict[int, bytes]:
    """Stream -> what came on it, read with pauses."""
    loop = asyncio.get_running_loop()
    text = bytearray()
    async with asyncio.timeout(30):
        while piece := await loop.sock_recv(client, 1 << 16):
            text += piece
            await asyncio.sleep(pause_s)
    text = text[text.index(b"\r\n\r\n") + 4 :]
    found: dict[int, bytearray] = {}
    while text:
        size = int.from_bytes(text[4:8], "big")
        found.setdefault(text[0], bytearray()).extend(text[8 : 8 + size])
        del text[: 8 + size]
    return {stream: bytes(data) for stream, data in found.items()}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skep.api.attached.ATTACH_PATIENCE_S", 0.5, raising=False)


async def test_it_is_let_go_and_told_and_the_container_goes_on(tmp_path: Path) -> None:
    async with served(tmp_path) as (host, sock):
        container_id = await host.create("sh", "-c", WRITE)
        with await attached(sock, container_id) as client:
            await host.engine.containers.start(container_id)
            async with asyncio.timeout(20):
                await host.engine.containers.wait(container_id)
            assert len(await host.log(container_id)) == LINES * len(LINE)
            heard = await everything(client)
        assert heard[1] == (LINE * LINES)[: len(heard[1])]
        assert b"output was cut here" in heard[2]
        assert heard[2] == heard[3]


async def test_one_that_is_slow_gets_everything(tmp_path: Path) -> None:
    async with served(tmp_path) as (host, sock):
        container_id = await host.create("sh", "-c", WRITE)
        with await attached(sock, container_id) as client:
            await host.engine.containers.start(container_id)
            assert await everything(client, pause_s=0.01) == {1: LINE * LINES}
