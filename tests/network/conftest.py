"""Every test here may have a laboratory of its own (skep.testing.netlab)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.testing.netlab import Lab, open_network, two_machines


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A host with our network open on it."""
    with two_machines(tmp_path) as (host, neighbour):
        network = open_network(tmp_path)
        await network.open()
        lab = Lab(tmp_path, host, neighbour, network)
        try:
            yield lab
        finally:
            await lab.network.clear()
            await lab.network.close()
            lab.close()
