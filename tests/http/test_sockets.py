"""The sockets that a door is reached by."""

from __future__ import annotations

import grp
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from skep.http import Server
from skep.kit.errors import Conflict, InvalidArgument, Unavailable
from skep.testing.control_plane import free_port
from skep.testing.echo import Echo


def serving(echo: Echo, listeners: list[str]) -> Server:
    return Server(echo, listeners, group="docker")


@pytest.fixture
async def server(echo: Echo, sock: Path) -> AsyncIterator[Server]:
    server = serving(echo, [f"unix://{sock}"])
    await server.start()
    yield server
    await server.stop()


async def ping(path: Path) -> str:
    connector = aiohttp.UnixConnector(str(path))
    async with aiohttp.ClientSession("http://echo", connector=connector) as session:
        return await (await session.get("/echo/OK")).text()


async def test_the_socket_is_for_root_and_the_group(server: Server, sock: Path) -> None:
    assert await ping(sock) == "OK"
    found = sock.stat()
    assert stat.filemode(found.st_mode) == "srw-rw----"
    groups = {group.gr_name: group.gr_gid for group in grp.getgrall()}
    assert found.st_gid == groups.get("docker", 0)


async def test_the_socket_goes_with_the_server(echo: Echo, sock: Path) -> None:
    server = serving(echo, [f"unix://{sock}"])
    await server.start()
    await server.stop()
    assert not sock.exists()


async def test_a_socket_that_nobody_listens_on_is_replaced(echo: Echo, sock: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(sock))
    server = serving(echo, [f"unix://{sock}"])
    await server.start()
    assert await ping(sock) == "OK"
    await server.stop()


async def test_a_socket_in_use_is_left_to_its_daemon(
    echo: Echo, server: Server, sock: Path
) -> None:
    with pytest.raises(Conflict, match="another daemon listens there"):
        await serving(echo, [f"unix://{sock}"]).start()
    assert await ping(sock) == "OK"


async def test_what_is_no_socket_is_never_removed(echo: Echo, sock: Path) -> None:
    sock.write_text("precious")
    with pytest.raises(Conflict, match="something that is no socket is there"):
        await serving(echo, [f"unix://{sock}"]).start()
    assert sock.read_text() == "precious"


async def test_tcp_is_spoken_where_it_is_asked_for(echo: Echo, sock: Path) -> None:
    port = free_port()
    server = serving(echo, [f"unix://{sock}", f"tcp://127.0.0.1:{port}"])
    await server.start()
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"http://127.0.0.1:{port}/echo/OK")
        assert await answer.text() == "OK"
    await server.stop()


async def test_it_listens_everywhere_or_nowhere(echo: Echo, sock: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match="cannot listen on tcp://"):
            await serving(echo, [f"unix://{sock}", f"tcp://127.0.0.1:{port}"]).start()
    assert not sock.exists()


@pytest.mark.parametrize(
    "listener", ["", "unix://relative", "tcp://nowhere", "ftp://x:1", "tcp://h:x"]
)
async def test_a_listener_of_other_form_is_refused(echo: Echo, listener: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid listener"):
        await serving(echo, [listener]).start()
