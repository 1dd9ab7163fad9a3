"""A server on a real unix socket, over a node whose rooms are small stand-ins that tests fill."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import aiohttp
import pytest

from skep.api import Server
from skep.engine.events import Events
from skep.kit.errors import Unavailable
from skep.model.logs import LogOptions, LogSelector, ServiceLogLine
from skep.model.system import Component, Facts, SwarmInfo, SwarmInit, SwarmJoin
from skep.testing.control_plane import ControlPlane

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


async def _none(*args: Any, **options: Any) -> list[Any]:
    return []


class StandInNode:
    """A node made of what a test puts into it; everything not put there is missing."""

    def __init__(self) -> None:
        self.facts = FACTS
        self.engine: Any = SimpleNamespace(
            containers=SimpleNamespace(list=_none),
            images=SimpleNamespace(summaries=_none),
            volumes=SimpleNamespace(),
            networks=SimpleNamespace(),
            events=Events(),
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


@pytest.fixture
async def http(server: Server, sock: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        "http://docker", connector=aiohttp.UnixConnector(str(sock))
    ) as session:
        yield session
    with contextlib.suppress(FileNotFoundError):
        sock.unlink()


class Printed(NamedTuple):
    """What a run of docker's client printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """The cells of a printed table, its headings first."""
        return [re.split(r" {2,}", line.strip()) for line in self.out.splitlines()]


Docker = Callable[..., Awaitable[Printed]]


@pytest.fixture
def docker(server: Server, sock: Path, tmp_path: Path) -> Docker:
    """The unmodified docker client, speaking to the server."""

    async def run(*words: str, stdin: bytes | None = None) -> Printed:
        process = await asyncio.create_subprocess_exec(
            "docker",
            *words,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "DOCKER_HOST": f"unix://{sock}",
            },
        )
        try:
            async with asyncio.timeout(20):
                out, err = await process.communicate(stdin)
        except BaseException:
            process.kill()
            await process.wait()
            raise
        return Printed(process.returncode or 0, out.decode(), err.decode())

    return run


@pytest.fixture
async def cluster(node: StandInNode, tmp_path: Path) -> AsyncIterator[ControlPlane]:
    """A real manager with two workers whose containers are pretended; the node is the manager."""
    plane = ControlPlane(tmp_path / "cluster")
    (tmp_path / "cluster").mkdir()
    await plane.start()
    await plane.join("drone-1")
    await plane.join("drone-2")
    manager = plane.manager
    node.control = manager.control
    node.swarm = SwarmInfo(
        node_id=plane.own.id,
        node_addr="127.0.0.1",
        local_node_state="active",
        control_available=True,
        nodes=3,
        managers=1,
    )
    node.service_logs = manager.logs.read  # type: ignore[method-assign]

    async def unreachable(reference: str, auth: Any) -> Any:
        raise Unavailable(f"{reference}: no registry here")

    node.engine.images.distribution_inspect = unreachable
    yield plane
    await plane.close()
