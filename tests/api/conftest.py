"""A server on a real unix socket, over a node whose rooms are small stand-ins that tests fill."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from skep.api import Server
from skep.model.logs import LogOptions, LogSelector, ServiceLogLine
from skep.model.system import Component, Facts, SwarmInfo, SwarmInit, SwarmJoin

FACTS = Facts(
    daemon_id="daemon-1",
    hostname="bee",
    data_root="/var/lib/skep",
    kernel_version="6.1.0",
    operating_system="Debian GNU/Linux 12 (bookworm)",
    os_version="12",
    machine="x86_64",
    cpus=2,
    memory_bytes=4 * 1024**3,
    cgroup_version=2,
    components=(Component(name="runc", version="1.1.5", details={"GitCommit": ""}),),
    runtimes={"runc": "/usr/sbin/runc"},
)


class StandInNode:
    """A node made of what a test puts into it; everything not put there is missing."""

    def __init__(self) -> None:
        self.facts = FACTS
        self.engine: Any = SimpleNamespace(
            containers=SimpleNamespace(),
            images=SimpleNamespace(),
            volumes=SimpleNamespace(),
            networks=SimpleNamespace(),
            events=SimpleNamespace(),
        )
        self.control: Any = None
        self.swarm = SwarmInfo()
        self.calls: list[Any] = []
        self.log_lines: list[ServiceLogLine] = []

    def swarm_info(self) -> SwarmInfo:
        return self.swarm

    async def swarm_init(self, request: SwarmInit) -> str:
        self.calls.append(request)
        return "node-1"

    async def swarm_join(self, request: SwarmJoin) -> None:
        self.calls.append(request)

    async def swarm_leave(self, force: bool) -> None:
        self.calls.append(("leave", force))

    async def service_logs(
        self, selector: LogSelector, options: LogOptions
    ) -> AsyncGenerator[ServiceLogLine, None]:
        self.calls.append((selector, options))
        for line in self.log_lines:
            yield line


@pytest.fixture
def node() -> StandInNode:
    return StandInNode()


@pytest.fixture
def sock(tmp_path: Path) -> Path:
    return tmp_path / "skep.sock"


@pytest.fixture
async def server(node: StandInNode, sock: Path) -> AsyncIterator[Server]:
    server = Server(node, [f"unix://{sock}"])
    await server.start()
    yield server
    await server.stop()


Call = Callable[..., Awaitable[aiohttp.ClientResponse]]


@pytest.fixture
async def http(server: Server, sock: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        "http://docker", connector=aiohttp.UnixConnector(str(sock))
    ) as session:
        yield session
    with contextlib.suppress(FileNotFoundError):
        sock.unlink()
