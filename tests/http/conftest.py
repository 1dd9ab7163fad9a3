"""A door of a few words, answered on a unix socket, on TCP, and by TLS over TCP."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from skep.http import Server
from skep.testing.control_plane import free_port
from skep.testing.echo import Echo, Reached


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 in one file."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def sock(tmp_path: Path) -> Path:
    return tmp_path / "echo.sock"


@pytest.fixture(params=["unix", "tcp", "tls"])
async def reached(
    request: pytest.FixtureRequest,
    echo: Echo,
    sock: Path,
    tls: ssl.SSLContext,
    trusting: ssl.SSLContext,
) -> AsyncIterator[Reached]:
    """A server of the door, on each kind of socket."""
    kind = request.param
    place = str(sock) if kind == "unix" else f"127.0.0.1:{free_port()}"
    listener = f"{'unix' if kind == 'unix' else 'tcp'}://{place}"
    server = Server(echo, [listener], group="docker", tls=tls if kind == "tls" else None)
    await server.start()
    connector = (
        aiohttp.UnixConnector(place)
        if kind == "unix"
        else aiohttp.TCPConnector(ssl=trusting if kind == "tls" else True)
    )
    base = {"unix": "http://echo", "tcp": f"http://{place}", "tls": f"https://{place}"}[kind]
    async with aiohttp.ClientSession(base, connector=connector) as session:
        yield Reached(session, kind, place, trusting if kind == "tls" else None)
    await server.stop()
