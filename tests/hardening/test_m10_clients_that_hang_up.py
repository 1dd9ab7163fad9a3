"""Clients that hung up left things behind for ever: a subscriber to events each, a line that waits
for a container's start each, and now and then a zombie of an exec."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from skep.api import Server
from skep.engine.containers.attach import PendingLine
from skep.model.container import ExecCreate
from skep.testing.engine_host import EngineHost, engine_host
from skep.testing.node import StandInNode
from skep.testing.soundness import zombies_of

HANG_UPS = 60


class Served:
    """An engine behind its API, and clients that hang up on it."""

    def __init__(self, host: EngineHost, server: Server, sock: Path) -> None:
        self.host = host
        self.server = server
        self._sock = sock
        self._dice = random.Random(10)

    async def hang_up(self, method: str, path: str, *, listen: bool = False) -> None:
        """Ask, and be gone: at once, or after the first word of the answer."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            await loop.sock_connect(client, str(self._sock))
            head = f"{method} {path} HTTP/1.1\r\nHost: d\r\n"
            upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if method == "POST" else ""
            await loop.sock_sendall(client, f"{head}{upgrade}\r\n".encode())
            if listen:
                await loop.sock_recv(client, 1 << 16)
            else:
                await asyncio.sleep(self._dice.choice((0.0, 0.0, 0.002, 0.02)))


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr("skep.http.hijack._HANG_UP_CHECK_S", 0.05)
    async with engine_host(tmp_path) as host:
        sock = tmp_path / "api.sock"
        server = Server(StandInNode(host.engine), [f"unix://{sock}"])
        await server.start()
        yield Served(host, server, sock)
        await server.stop()


async def until(condition: Callable[[], object], what: Callable[[], object]) -> None:
    try:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"left: {what()}")


def alive(kind: type) -> list[object]:
    """Objects of a kind that something still holds."""
    import gc

    gc.collect()
    return [thing for thing in gc.get_objects() if type(thing) is kind]


def zombies() -> dict[int, str]:
    """Children of ours that nobody collected: their names."""
    return zombies_of(os.getpid())


@pytest.mark.parametrize("listen", [False, True])
async def test_of_those_who_asked_for_events_none_is_left(
    served: Served, caplog: pytest.LogCaptureFixture, listen: bool
) -> None:
    before = len(asyncio.all_tasks())
    for _ in range(HANG_UPS):
        await served.hang_up("GET", "/events", listen=listen)
    await until(lambda: not served.server.connections, lambda: served.server.connections)
    await until(lambda: len(asyncio.all_tasks()) <= before, asyncio.all_tasks)
    assert served.host.engine.events._followers == set()
    assert caplog.text == ""


@pytest.mark.parametrize("listen", [False, True])
async def test_of_those_who_wait_for_a_start_none_is_left(served: Served, listen: bool) -> None:
    container_id = await served.host.create()
    before = len(asyncio.all_tasks())
    for _ in range(HANG_UPS):
        path = f"/containers/{container_id}/attach?stream=1&stdin=1&stdout=1"
        await served.hang_up("POST", path, listen=listen)
    await until(lambda: not served.server.connections, lambda: served.server.connections)
    await until(lambda: len(asyncio.all_tasks()) <= before, asyncio.all_tasks)
    await until(lambda: not alive(PendingLine), lambda: alive(PendingLine))
    await served.host.engine.containers.start(container_id)


async def test_execs_that_nobody_waits_for_leave_no_zombie(served: Served) -> None:
    before = zombies()
    container_id = await served.host.run()
    containers = served.host.engine.containers
    wish = ExecCreate(cmd=["true"], attach_stdout=True)
    for _ in range(HANG_UPS):
        exec_id = await containers.exec_create(container_id, wish)
        await served.hang_up("POST", f"/exec/{exec_id}/start")
    await until(lambda: not served.server.connections, lambda: served.server.connections)
    await until(lambda: not zombies().keys() - before.keys(), zombies)
