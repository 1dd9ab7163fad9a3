"""What a review found that dishonest parts could do, a file for each finding (see SECURITY.md).

Each test failed before its mending. Most speak to a real daemon process, one for each file.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from skep.testing.daemon import DaemonHost


@pytest.fixture
def host(daemon: DaemonHost) -> Iterator[DaemonHost]:
    """The daemon; whatever the test made is removed, and must leave nothing behind."""
    if daemon.process is None:
        daemon.start()  # a test that failed left it killed
    yield daemon
    daemon.clear()
