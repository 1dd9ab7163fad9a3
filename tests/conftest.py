"""What holds for all tests."""

from __future__ import annotations

import gc
import logging
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing.control_plane import ControlPlane
from skep.testing.daemon import DaemonHost, daemon_host
from skep.testing.soundness import burdens, faults

_ROOMS_WITH_CONTAINERS = ("/runtime/", "/engine/")
_OLDEST_DOCKER = 28
"""The client whose columns and words the transcripts hold; Debian 12's is of 20.10."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No package of Debian 12 brings a docker client of today: without one, those tests wait."""
    if _docker_version() >= _OLDEST_DOCKER:
        return
    skip = pytest.mark.skip(reason=f"needs the docker client, version {_OLDEST_DOCKER} or newer")
    for item in items:
        if item.path.name.startswith("test_docker_client"):
            item.add_marker(skip)


def _docker_version() -> int:
    """The major version of docker's client, 0 when there is none."""
    if shutil.which("docker") is None:
        return 0
    said = subprocess.run(["docker", "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\d+)", said.stdout)
    return int(found[1]) if found else 0


@pytest.fixture(autouse=True)
def _elsewhere(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """conmon leaves a file in the folder that it was started in: let that not be the project's."""
    if any(room in str(request.path) for room in _ROOMS_WITH_CONTAINERS):
        monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


class _Deaths(logging.Handler):
    """Keeps what is logged of exceptions that nobody foresaw: with their traceback, or by asyncio,
    which tells of tasks that died unseen."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or record.name == "asyncio":
            self.told.append(self.format(record))


@pytest.fixture(autouse=True)
def _nothing_died(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test fails in which something of ours stumbled and was only logged. One that makes it
    stumble on purpose is marked `logs_errors("words of the record", …)`."""
    marker = request.node.get_closest_marker("logs_errors")
    expected = marker.args if marker is not None else ()
    deaths = _Deaths()
    logging.getLogger().addHandler(deaths)
    yield
    gc.collect(1)  # a task tells of its exception when it goes
    logging.getLogger().removeHandler(deaths)
    unforeseen = [text for text in deaths.told if not any(word in text for word in expected)]
    assert not unforeseen, "\n".join(unforeseen)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonHost]:
    """A daemon in no cluster, with the images web:1 and web:2 (see `testing.daemon.SERVER`)."""
    with daemon_host(tmp_path_factory.mktemp("daemon")) as host:
        host.load_server("web:1", "one")
        host.load_server("web:2", "two")
        yield host
        assert not (found := burdens(host)), "\n".join(found)


@pytest.fixture(scope="module")
def swarm(daemon: DaemonHost) -> DaemonHost:
    """The same, a manager of a cluster of one."""
    daemon.ok("swarm", "init")
    return daemon


@pytest.fixture(autouse=True)
def _sound(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test what its daemon says is so, and its log knows of no fault of ours."""
    daemon = request.getfixturevalue("daemon") if "daemon" in request.fixturenames else None
    if "host" in request.fixturenames and isinstance(daemon, DaemonHost):
        request.getfixturevalue("host")  # made before us, it is cleared after us
    yield
    if isinstance(daemon, DaemonHost):
        assert not (found := faults(daemon)), "\n".join(found)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Primary]:
    """An empty one on the disk, that takes commits."""
    store = Primary(SqliteLog(tmp_path / "store.db"))
    await store.start()
    yield store
    await store.close()


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    """A manager with real TLS on loopback; agents join it with fake containers."""
    plane = ControlPlane(tmp_path)
    await plane.start()
    yield plane
    await plane.close()
