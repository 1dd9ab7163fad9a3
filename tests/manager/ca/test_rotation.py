"""When a root rotation ends: with the last node's new certificate."""

from __future__ import annotations

from msgspec.structs import replace

from skep.manager.ca import authority
from skep.manager.ca.rotation import RootRotation
from skep.manager.observations import NOTHING_SEEN
from skep.manager.room import Plan
from skep.model.cluster import Cluster, ClusterSecrets
from skep.model.node import Node, TLSInfo
from skep.store.change import Event, Update
from skep.store.memory import MemoryView
from skep.testing import builders

BEFORE = authority.new_secrets("cluster", builders.T0)
ROTATING = authority.rotate_to(BEFORE, "", "", builders.T0)
OLD, NEW = authority.tls_info(BEFORE), authority.tls_info(ROTATING)
CLUSTER = Cluster(id="cluster", tls_info=NEW, root_rotation_in_progress=True)


def holding(node_id: str, tls_info: TLSInfo) -> Node:
    node = builders.node(node_id)
    return replace(node, description=replace(node.description, tls_info=tls_info))


def plan(*nodes: Node, cluster: Cluster = CLUSTER, secrets: ClusterSecrets = ROTATING) -> Plan:
    view = MemoryView([cluster, secrets, *nodes])
    room = RootRotation()
    return room.plan(
        view, NOTHING_SEEN, frozenset(room.everything(view)), builders.T0, builders.ids("s")
    )


def test_it_goes_on_while_one_node_holds_an_old_certificate() -> None:
    waiting = plan(holding("n1", NEW), holding("n2", OLD), holding("n3", TLSInfo()))
    assert waiting == Plan(explanations=("2 nodes have yet to renew their certificates",))


def test_it_ends_with_the_last_and_tokens_are_new() -> None:
    ended = plan(holding("n1", NEW), holding("n2", NEW))
    after = authority.finish_rotation(ROTATING, builders.ids("s"))
    shown = replace(
        CLUSTER,
        root_rotation_in_progress=False,
        tls_info=replace(NEW, trust_root=ROTATING.rotation_certificate),
    )
    why = "root rotation finished"
    assert ended == Plan(
        changes=(Update(after, why), Update(shown, why)),
        explanations=("every node has renewed: the new root is the only one",),
    )
    assert (after.worker_secret, after.manager_secret) != (
        BEFORE.worker_secret,
        BEFORE.manager_secret,
    )


def test_nothing_is_done_when_none_is_under_way() -> None:
    settled = replace(CLUSTER, tls_info=OLD, root_rotation_in_progress=False)
    assert plan(holding("n1", OLD), cluster=settled, secrets=BEFORE) == Plan()


def test_only_a_rotation_makes_nodes_matter() -> None:
    room = RootRotation()
    news = Event("node", "update", holding("n1", OLD), holding("n1", NEW))
    settled = replace(CLUSTER, root_rotation_in_progress=False)
    assert list(room.dirty(news, MemoryView([CLUSTER]))) == ["root"]
    assert list(room.dirty(news, MemoryView([settled]))) == []
    assert list(room.dirty(news, MemoryView())) == []
    task = Event("task", "create", None, None)
    assert list(room.dirty(task, MemoryView([CLUSTER]))) == []
