"""The node's networks and the cluster's, as one list: chosen, made where they belong, removed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.kit.errors import Conflict, InvalidArgument, NoCluster, NotFound
from skep.kit.where import Where, anything
from skep.manager.ca.authority import Authority
from skep.manager.control import Control
from skep.model.container import EndpointSettings
from skep.model.network import (
    EndpointResource,
    Network,
    NetworkCreate,
    NetworkResource,
    NetworkSpec,
)
from skep.node.networks import Networks, choose
from skep.store.change import Create
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing.builders import ids
from skep.testing.node import StandInNode
from skep.testing.stand_in import instead_of


class Local:
    """A node's own networks, as values; what was asked for is in `calls`."""

    def __init__(self) -> None:
        self.rows = [
            NetworkResource(name="bridge", id="bridge-here"),
            NetworkResource(name="app", id="app-here"),
            NetworkResource(name="back", id="back-id", scope="swarm", driver="overlay"),
            NetworkResource(name="gone", id="gone-id", scope="swarm", driver="overlay"),
        ]
        self.calls: list[tuple[str, ...]] = []

    async def inspect(self, name: str) -> NetworkResource:
        for row in self.rows:
            if row.id == name:
                there = {"c1": EndpointResource(name="box")}
                return NetworkResource(name=row.name, id=row.id, containers=there)
        raise NotFound(f"network {name} not found")

    async def create(self, options: NetworkCreate) -> str:
        self.calls.append(("create", options.name))
        return "new-here"

    async def remove(self, name: str) -> None:
        self.calls.append(("remove", name))

    async def connect(
        self, name: str, network: str, settings: EndpointSettings | None = None
    ) -> None:
        self.calls.append(("connect", network, name))

    async def prune(self, where: Where[NetworkResource] = anything) -> list[str]:
        return [row.name for row in self.rows if row.scope == "local" and where(row)]

    async def list(
        self, where: Where[NetworkResource] = anything, *, dangling: bool | None = None
    ) -> list[NetworkResource]:
        return [row for row in self.rows if where(row)]


@pytest.fixture
def local() -> Local:
    return Local()


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    """A cluster with the networks ingress, host and back."""
    store = Primary(SqliteLog(tmp_path / "store.db"))
    await store.start()
    specs = {
        "ingress-id": NetworkSpec(name="ingress", ingress=True),
        "host-id": NetworkSpec(name="host", driver="host"),
        "back-id": NetworkSpec(name="back", labels={"tier": "back"}),
    }
    await store.commit([Create(Network(id=id_, spec=spec)) for id_, spec in specs.items()])
    yield Control(store, Authority(), ids("id"))
    await store.close()


def networks_of(local: Local, control: Control | None) -> Networks:
    node = StandInNode()
    node.control = control
    engine = node.engine
    instead_of(engine.networks.list)(local.list)
    instead_of(engine.networks.inspect)(local.inspect)
    instead_of(engine.networks.create)(local.create)
    instead_of(engine.networks.remove)(local.remove)
    instead_of(engine.networks.prune)(local.prune)
    instead_of(engine.containers.connect)(local.connect)
    return Networks(node)


@pytest.fixture
def networks(local: Local, control: Control) -> Networks:
    return networks_of(local, control)


async def names(networks: Networks, where: Where[NetworkResource] = anything) -> list[str]:
    return [network.name for network in await networks.find(where)]


async def test_the_cluster_says_which_networks_it_has(networks: Networks) -> None:
    """One that was removed may be on this node for a moment still."""
    assert await names(networks) == ["back", "ingress", "bridge", "app"]
    assert await names(networks, lambda network: network.driver == "overlay") == ["back", "ingress"]


async def test_a_node_that_manages_nothing_has_its_own(local: Local) -> None:
    assert await names(networks_of(local, None)) == ["bridge", "app", "back", "gone"]


async def test_one_network_is_shown_with_the_containers_of_this_node(networks: Networks) -> None:
    back = await networks.get("back")
    assert (back.id, back.scope, back.labels) == ("back-id", "swarm", {"tier": "back"})
    assert back.containers["c1"].name == "box"
    assert (await networks.get("ingress")).containers == {}
    assert (await networks.get("host", "swarm")).id == "host-id"
    with pytest.raises(NotFound, match="network host not found"):
        await networks.get("host")


async def test_it_is_made_where_it_belongs(
    networks: Networks, local: Local, control: Control
) -> None:
    assert await networks.create(NetworkCreate(name="mine")) == "new-here"
    made = await networks.create(NetworkCreate(name="theirs", driver="overlay"))
    assert control.networks.get("theirs").id == made
    assert local.calls == [("create", "mine")]
    for taken in ("app", "back"):
        with pytest.raises(Conflict, match=f"network with name {taken} already exists"):
            await networks.create(NetworkCreate(name=taken))
    with pytest.raises(NoCluster):
        await networks_of(local, None).create(NetworkCreate(name="x", scope="swarm"))


async def test_it_is_removed_and_joined_where_it_is(
    networks: Networks, local: Local, control: Control
) -> None:
    await networks.remove("app")
    await networks.remove("back")
    await networks.connect("bridge", "box", None)
    assert local.calls == [("remove", "app-here"), ("connect", "bridge-here", "box")]
    with pytest.raises(NotFound):
        control.networks.get("back")


async def test_what_nobody_uses_goes_but_the_ingress_network(
    networks: Networks, control: Control
) -> None:
    assert await networks.prune(lambda network: network.name != "bridge") == ["app", "back"]
    assert [network.spec.name for network in control.networks.find()] == ["ingress"]


def test_who_is_meant() -> None:
    rows = [
        NetworkResource(name="bc", id="abc"),
        NetworkResource(name="twin", id="abd"),
        NetworkResource(name="twin", id="x"),
        NetworkResource(name="abc", id="y"),
    ]
    assert choose(rows, "abc").id == "abc"
    assert choose(rows, "bc").id == "abc"
    with pytest.raises(InvalidArgument, match=r"ambiguous \(2 matches found based on name\)"):
        choose(rows, "twin")
    with pytest.raises(InvalidArgument, match=r"ambiguous \(2 matches found based on ID prefix\)"):
        choose(rows, "ab")
    with pytest.raises(NotFound, match="network zz not found"):
        choose(rows, "zz")
