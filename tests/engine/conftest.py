"""Every test here may have an engine on a host of its own (skep.testing.engine_host)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.testing.engine_host import EngineHost, engine_host


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[EngineHost]:
    """A started engine with busybox; it must leave nothing behind."""
    async with engine_host(tmp_path) as host:
        yield host
    assert host.leftovers() == []
