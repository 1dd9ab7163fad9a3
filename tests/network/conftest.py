"""Every test here may have a laboratory of its own (skep.testing.netlab)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.network.kernel import KernelNetwork
from skep.testing.netlab import Lab, two_machines


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A host with our network open on it."""
    with two_machines(tmp_path) as (host, neighbour):
        network = KernelNetwork(tmp_path / "exec", "t")
        await network.open()
        lab = Lab(tmp_path, host, neighbour, network)
        try:
            yield lab
        finally:
            lab.close()
            await network.clear()
            await network.close()
