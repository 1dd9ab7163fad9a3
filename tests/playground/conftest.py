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


@pytest.fixture
def outsider(nodes: PlaygroundHost) -> Iterator[str]:
    """n3, which is in no cluster; afterwards it is a member of n1's as before."""
    leave(nodes, "n3")
    yield "n3"
    leave(nodes, "n3")
    token = nodes.ok("swarm", "join-token", "-q", "worker")
    nodes.ok("swarm", "join", "--token", token, f"{nodes.place('n1').address}:2377", node="n3")
    nodes.until_state("n3", "ready")


def leave(nodes: PlaygroundHost, name: str) -> None:
    """The node is in no cluster, and n1's has forgotten every node that is not there."""
    if nodes.get("/info", name)["Swarm"]["LocalNodeState"] != "inactive":
        nodes.ok("swarm", "leave", "--force", node=name)
    for node in nodes.get("/nodes"):
        if node["Description"].get("Hostname", "") in ("", name):
            nodes.ok("node", "rm", "--force", node["ID"])


@pytest.fixture(autouse=True)
def _sound(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test no node's log knows of a fault of ours."""
    yield
    if "playground" in request.fixturenames:
        host: PlaygroundHost = request.getfixturevalue("playground")
        assert not (found := host.loud_records()), "\n".join(found)
