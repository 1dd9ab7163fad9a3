"""A daemon with more than 1,023 open files was aborted by its next rule in a sandbox: libnftables
waits with select(2). Whoever could open files in it, strangers and containers too, could do so."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from skep.kit.errors import Internal
from skep.network.nft import Nft
from skep.network.values import Resolver
from skep.protocol.listener import rooms_for_strangers
from skep.testing.daemon import DaemonHost, until
from skep.testing.netlab import bridge, laboratory, sandbox

_HELD = 2_000


@pytest.fixture(autouse=True)
def _files() -> Iterator[None]:
    """The callers' ends are files of this process."""
    before = _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def _idle_clients(host: DaemonHost, count: int) -> Iterator[None]:
    with contextlib.ExitStack() as held:
        for _ in range(count):
            line = held.enter_context(socket.socket(socket.AF_UNIX))
            line.connect(str(host.socket))
        until(lambda: _open_files(host) >= count)
        yield


def _open_files(host: DaemonHost) -> int:
    assert host.process is not None
    return len(list(Path(f"/proc/{host.process.pid}/fd").iterdir()))


def test_a_container_starts_on_a_network_beside_2000_open_files(host: DaemonHost) -> None:
    host.ok("network", "create", "net")
    with _idle_clients(host, _HELD):
        words = ("--network", "net", "-p", "8080:5000", "web:1")
        host.ok("run", "-d", "--name", "one", *words)
        until(lambda: _served(host, 8080))
        found = host.ok("run", "--rm", "--network", "net", "web:1", "nslookup", "one")
        assert "Name:\tone" in found


def _served(host: DaemonHost, port: int) -> bool:
    try:
        return host.who(port).version == "one"
    except OSError:
        return False


def test_a_service_changes_its_backends_beside_2000_open_files(swarm: DaemonHost) -> None:
    """A service's virtual address is a rule in the sandbox of each of its clients."""
    swarm.ok("network", "create", "-d", "overlay", "--attachable", "over")
    try:
        with _idle_clients(swarm, _HELD):
            words = ("--network", "over", "-p", "8081:5000", "--replicas", "2", "web:1")
            swarm.ok("service", "create", "-d", "--name", "web", *words)
            swarm.until_served(8081, 2)
            swarm.ok("service", "scale", "-d", "web=3")
            swarm.until_served(8081, 3)
    finally:
        swarm.clear()


def test_a_library_that_ends_its_process_fails_one_call_only() -> None:
    nft = Nft()
    try:
        nft._process.kill()
        with pytest.raises(Internal, match="process ended"):
            nft.run("list tables")
        assert "inet_service" in nft.run("describe tcp dport")
    finally:
        nft.close()
    assert nft._process.returncode == 0


async def test_the_library_s_process_never_has_many_files(tmp_path: Path) -> None:
    """Which is what makes the abort impossible, whatever the daemon holds."""
    async with laboratory(tmp_path) as lab:
        await lab.network.ensure_bridge(bridge())
        for last in range(2, 12):
            await lab.network.create_sandbox(sandbox(last, resolver=Resolver()))
        pid = lab.network._tools.nft._process.pid
        assert len(list(Path(f"/proc/{pid}/fd").iterdir())) < 8


@pytest.mark.parametrize("files", [64, 1_024, 20_000, 1 << 20])
def test_strangers_have_a_quarter_of_all_files_at_most(files: int) -> None:
    seats, heard = rooms_for_strangers(files)
    assert 0 < heard <= seats
    assert seats + heard <= files // 4
