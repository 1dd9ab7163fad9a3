"""Every test here is on real nodes. Most share one playground (skep.testing.playground)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from skep.testing.playground import PlaygroundHost, playground_host


@pytest.fixture(scope="session")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlaygroundHost]:
    """Three nodes, n1 the manager, with the image WEB."""
    with playground_host(tmp_path_factory.mktemp("playground")) as host:
        yield host


@pytest.fixture
def nodes(playground: PlaygroundHost) -> Iterator[PlaygroundHost]:
    """The same, as it was at first: what a test made is removed, and leaves no container; a test
    that left a node behind fails, and the next has nodes of its own."""
    yield playground
    try:
        playground.clear()
    except BaseException:
        playground.renew()
        raise
