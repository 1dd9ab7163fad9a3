"""Every test here is on real nodes: one playground for each file (skep.testing.playground)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from skep.testing.playground import PlaygroundHost, playground_host


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlaygroundHost]:
    """Three nodes, n1 the manager, with the image WEB."""
    with playground_host(tmp_path_factory.mktemp("playground")) as host:
        yield host


@pytest.fixture
def nodes(playground: PlaygroundHost) -> Iterator[PlaygroundHost]:
    """The same; what the test made of services and labels is removed, and leaves no container."""
    yield playground
    playground.clear()
