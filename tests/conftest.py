"""What holds for all tests."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

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
