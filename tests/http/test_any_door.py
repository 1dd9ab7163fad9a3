"""What HTTP gives to every door, over each kind of socket, TLS included."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest

from skep.http import Server
from skep.testing.control_plane import free_port
from skep.testing.echo import Echo, Reached

TALK = b"POST /talk HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


async def test_a_path_leads_to_its_handler(reached: Reached) -> None:
    answer = await reached.session.get("/echo/hello?more=world")
    assert (answer.status, await answer.text()) == (200, "hello world")


async def test_refusals_have_the_door_s_words(reached: Reached) -> None:
    for path, status, text in (
        ("/nowhere", 404, "no: page not found"),
        ("/echo/forbidden", 400, "no: that word is not said here"),
        ("/echo/a%00b", 400, "no: the request's address has a NUL character in it"),
    ):
        answer = await reached.session.get(path)
        assert (answer.status, await answer.text()) == (status, text)


@pytest.mark.logs_errors("failed unexpectedly")
async def test_a_fault_is_told_without_its_details(reached: Reached) -> None:
    answer = await reached.session.post("/fault")
    assert answer.status == 500
    assert await answer.text() == "no: internal error in POST /fault: the daemon's log says more"


async def test_a_body_has_a_bound(reached: Reached) -> None:
    assert await (await reached.session.post("/echo", data=b"0123456789")).read() == b"0123456789"
    answer = await reached.session.post("/echo", data=b"0123456789a")
    assert answer.status == 413
    assert await answer.text() == "no: request body too large: at most 10 bytes of noise"


async def test_a_long_body_is_read_in_pieces(reached: Reached) -> None:
    data = bytes(range(256)) * 2048
    assert await (await reached.session.post("/copy", data=data)).read() == data


async def test_a_stream_ends_with_its_reader(reached: Reached, echo: Echo) -> None:
    answer = await reached.session.get("/drip")
    assert answer.headers["X-Door"] == "echo"
    assert await answer.content.readline() == b"drop\n"
    answer.close()
    async with asyncio.timeout(5):
        while echo.done != ["drip"]:
            await asyncio.sleep(0.01)


async def test_a_change_is_finished_though_its_caller_hangs_up(
    reached: Reached, echo: Echo
) -> None:
    asking = asyncio.create_task(reached.session.post("/change"))
    await echo.begun.wait()
    asking.cancel()
    await asyncio.wait([asking])
    echo.go_on.set()
    async with asyncio.timeout(5):
        while echo.done != ["change"]:
            await asyncio.sleep(0.01)


async def test_a_connection_is_taken_over(reached: Reached) -> None:
    reader, writer = await reached.connect()
    writer.write(TALK + b"at once ")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 101 UPGRADED\r\n\r\n"
    assert await reader.readexactly(8) == b"AT ONCE "
    writer.write(b"and later, bye")
    assert await reader.read() == b"AND LATER, BYE"
    writer.close()


async def test_a_client_that_hangs_up_ends_a_talk(
    reached: Reached, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not over TCP while nothing is said: there a client that hung up looks like one that only
    listens."""
    monkeypatch.setattr("skep.http.hijack._HANG_UP_CHECK_S", 0.05)
    reader, writer = await reached.connect()
    writer.write(TALK)
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(5):
        while reached.kind != "tcp" and echo.done != ["talk"]:
            await asyncio.sleep(0.01)
    answer = await reached.session.get("/echo/still")
    assert await answer.text() == "still"


async def test_pages_of_other_sites_change_nothing_over_tcp(reached: Reached) -> None:
    answer = await reached.session.post(
        "/echo", data=b"x", headers={"Sec-Fetch-Site": "cross-site", "Origin": "http://evil"}
    )
    assert answer.status == (200 if reached.kind == "unix" else 403)


async def test_without_trust_tls_is_refused_by_the_client(echo: Echo, tls: ssl.SSLContext) -> None:
    port = free_port()
    server = Server(echo, [f"tcp://127.0.0.1:{port}"], group="docker", tls=tls)
    await server.start()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"https://127.0.0.1:{port}/echo/x")
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"http://127.0.0.1:{port}/echo/x")
    await server.stop()


async def test_callers_without_a_certificate_are_shut_out_where_one_is_asked_for(
    echo: Echo,
    tls: ssl.SSLContext,
    trusting: ssl.SSLContext,
    certificate: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(certificate)
    port = free_port()
    server = Server(echo, [f"tcp://127.0.0.1:{port}"], group="docker", tls=tls)
    await server.start()
    assert "without asking who is there" not in caplog.text
    url = f"https://127.0.0.1:{port}/echo/x"
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(url, ssl=trusting)
        trusting.load_cert_chain(certificate)
        assert await (await session.get(url, ssl=trusting)).text() == "x"
    await server.stop()
