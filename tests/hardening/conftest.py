"""What a review found that dishonest parts could do, a file for each finding (see SECURITY.md).

Each test failed before its mending. Most speak to a real daemon process, one for each file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from skep.testing.control_plane import ControlPlane
from skep.testing.daemon import DaemonHost, daemon_host
from skep.testing.soundness import burdens, faults


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonHost]:
    """A daemon in no cluster, with the images web:1 and web:2 (see `testing.daemon.SERVER`)."""
    with daemon_host(tmp_path_factory.mktemp("daemon")) as host:
        host.load_server("web:1", "one")
        host.load_server("web:2", "two")
        yield host
        assert not (found := burdens(host)), "\n".join(found)


@pytest.fixture(autouse=True)
def _sound(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test what its daemon says is so, and its log knows of no fault of ours."""
    names = [name for name in ("host", "daemon") if name in request.fixturenames]
    hosts = [host for host in map(request.getfixturevalue, names) if isinstance(host, DaemonHost)]
    yield
    for host in hosts[:1]:
        assert not (found := faults(host)), "\n".join(found)


@pytest.fixture(scope="module")
def swarm(daemon: DaemonHost) -> DaemonHost:
    """The same, a manager of a cluster of one."""
    daemon.ok("swarm", "init")
    return daemon


@pytest.fixture
def host(daemon: DaemonHost) -> Iterator[DaemonHost]:
    """The daemon; whatever the test made is removed, and must leave nothing behind."""
    if daemon.process is None:
        daemon.start()  # a test that failed left it killed
    yield daemon
    daemon.clear()


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    """A manager with real TLS on loopback; agents join it with fake containers."""
    plane = ControlPlane(tmp_path)
    await plane.start()
    yield plane
    await plane.close()
