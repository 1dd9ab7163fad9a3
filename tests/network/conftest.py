"""Every test here may have a laboratory of its own (skep.testing.netlab)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.testing.netlab import Lab, laboratory


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A host with our network open on it."""
    async with laboratory(tmp_path) as lab:
        yield lab
