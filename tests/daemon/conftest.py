"""Every test here speaks to a real daemon process (skep.testing.daemon), one for each file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from skep.testing.daemon import DaemonHost


@pytest.fixture
def host(swarm: DaemonHost) -> Iterator[DaemonHost]:
    """A manager of a cluster of one; whatever the test made is removed, and must leave nothing
    behind."""
    if swarm.process is None:
        swarm.start()  # a test that failed left it killed
    yield swarm
    swarm.clear()
