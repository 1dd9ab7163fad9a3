"""Every test here speaks to a real daemon process (skep.testing.daemon), one for each file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
def host(swarm: DaemonHost) -> Iterator[DaemonHost]:
    """The same; whatever the test made is removed, and must leave nothing behind."""
    if swarm.process is None:
        swarm.start()  # a test that failed left it killed
    yield swarm
    swarm.clear()
