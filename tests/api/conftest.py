"""A server on a real unix socket, over a node whose rooms are stand-ins that tests fill."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NoReturn

import aiohttp
import pytest

from skep.api import Server
from skep.kit.errors import Unavailable
from skep.model.image import AuthConfig
from skep.model.system import SwarmInfo
from skep.testing.control_plane import ControlPlane
from skep.testing.daemon import Printed
from skep.testing.node import StandInNode
from skep.testing.stand_in import instead_of


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
    node.swarm.said = SwarmInfo(
        node_id=plane.own.id,
        node_addr="127.0.0.1",
        local_node_state="active",
        control_available=True,
        nodes=3,
        managers=1,
    )
    instead_of(node.service_logs)(manager.logs.read)

    @instead_of(node.engine.images.distribution_inspect)
    async def unreachable(reference: str, auth: AuthConfig | None = None) -> NoReturn:
        raise Unavailable(f"{reference}: no registry here")

    yield plane
    await plane.close()
