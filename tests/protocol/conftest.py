"""A manager with real TLS on loopback, for callers good and bad."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.testing.control_plane import ControlPlane


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    plane = ControlPlane(tmp_path)
    await plane.start()
    yield plane
    await plane.close()
