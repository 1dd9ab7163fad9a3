"""A web page could stop containers through its visitor's browser where the API listens on TCP, and
nothing in the log said what such a door means."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from skep.api import Server
from skep.testing.node import StandInNode
from skep.testing.stand_in import instead_of

PAGE = "http://page.example"


@pytest.fixture
def stopped() -> list[str]:
    return []


@pytest.fixture
async def doors(tmp_path: Path, stopped: list[str]) -> AsyncIterator[tuple[str, Path]]:
    """The TCP address and the socket of a server with one container."""

    node = StandInNode()

    @instead_of(node.engine.containers.stop)
    async def stop(name: str, *, signal: str = "", timeout_s: int | None = None) -> None:
        stopped.append(name)

    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"127.0.0.1:{free.getsockname()[1]}"
    path = tmp_path / "sock"
    server = Server(node, [f"tcp://{place}", f"unix://{path}"])
    await server.start()
    yield place, path
    await server.stop()


async def _stop(place: str, headers: dict[str, str]) -> int:
    async with aiohttp.ClientSession() as session:
        answer = await session.post(f"http://{place}/containers/c/stop", headers=headers)
        return answer.status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": PAGE},
        {"Origin": "null"},
        {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_page_of_another_site_changes_nothing(
    doors: tuple[str, Path], stopped: list[str], headers: dict[str, str]
) -> None:
    assert await _stop(doors[0], headers) == 403
    assert stopped == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": PAGE, "X-Forwarded-For": "10.0.0.9"},
        {"Origin": PAGE, "Sec-Fetch-Site": "same-origin", "X-Forwarded-For": "10.0.0.9"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=["a client", "a dashboard over http", "a dashboard over https", "the address bar"],
)
async def test_who_is_no_such_page_does(
    doors: tuple[str, Path], stopped: list[str], headers: dict[str, str]
) -> None:
    assert await _stop(doors[0], headers) == 204
    assert stopped == ["c"]


async def test_a_page_of_our_own_address_is_not_another_site(
    doors: tuple[str, Path], stopped: list[str]
) -> None:
    assert await _stop(doors[0], {"Origin": f"http://{doors[0]}"}) == 204


async def test_at_the_socket_there_are_no_pages_and_reading_changes_nothing(
    doors: tuple[str, Path], stopped: list[str]
) -> None:
    connector = aiohttp.UnixConnector(str(doors[1]))
    async with aiohttp.ClientSession(connector=connector) as session:
        answer = await session.post("http://d/containers/c/stop", headers={"Origin": PAGE})
        assert answer.status == 204
    async with aiohttp.ClientSession() as session:
        found = await session.get(f"http://{doors[0]}/containers/json", headers={"Origin": PAGE})
        assert found.status == 200


async def test_an_open_door_is_said_in_the_log(
    caplog: pytest.LogCaptureFixture, doors: tuple[str, Path]
) -> None:
    said = [r for r in caplog.get_records("setup") if r.levelno == logging.WARNING]
    assert [doors[0] in record.getMessage() for record in said] == [True]
    assert "root on this host" in said[0].getMessage()
