"""What holds for all tests."""

from __future__ import annotations

import pytest

_ROOMS_WITH_CONTAINERS = ("/runtime/", "/engine/")


@pytest.fixture(autouse=True)
def _elsewhere(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """conmon leaves a file in the folder that it was started in: let that not be the project's."""
    if any(room in str(request.path) for room in _ROOMS_WITH_CONTAINERS):
        monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
