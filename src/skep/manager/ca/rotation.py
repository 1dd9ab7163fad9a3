"""Ends a root rotation when every node holds a certificate of the new root: a deciding room."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec.structs import replace

from skep.manager.ca import authority
from skep.manager.observations import Seen
from skep.manager.room import NewId, Plan
from skep.model.cluster import Cluster, ClusterSecrets
from skep.model.node import Node
from skep.store.change import Event, Update, View

_KEY = "root"
_WHY = "root rotation finished"


class RootRotation:
    """Both roots are trusted while nodes renew; with the last of them the old one goes."""

    name = "root rotation"

    def dirty(self, event: Event, view: View) -> Iterable[str]:
        concerned = event.kind in {"node", "cluster"}
        return (_KEY,) if concerned and _rotating(view.cluster()) else ()

    def everything(self, view: View) -> Iterable[str]:
        return (_KEY,)

    def plan(
        self, view: View, seen: Seen, keys: frozenset[str], now: datetime, new_id: NewId
    ) -> Plan:
        cluster, secrets = view.cluster(), view.cluster_secrets()
        if cluster is None or secrets is None or not _rotating(cluster):
            return Plan()
        if waiting := sum(must_renew(node, cluster) for node in view.nodes()):
            who = "1 node has yet to renew its certificate"
            if waiting > 1:
                who = f"{waiting} nodes have yet to renew their certificates"
            return Plan(explanations=(who,))
        return Plan(
            changes=_finished(cluster, secrets, new_id),
            explanations=("every node has renewed: the new root is the only one",),
        )


def must_renew(node: Node, cluster: Cluster) -> bool:
    """The node's certificate is not of the root that signs now."""
    held = node.description.tls_info.cert_issuer_public_key
    return held != cluster.tls_info.cert_issuer_public_key


def _rotating(cluster: Cluster | None) -> bool:
    return cluster is not None and cluster.root_rotation_in_progress


def _finished(cluster: Cluster, secrets: ClusterSecrets, new_id: NewId) -> tuple[Update, Update]:
    after = authority.finish_rotation(secrets, new_id)
    shown = replace(
        cluster,
        tls_info=replace(cluster.tls_info, trust_root=after.root_certificate),
        root_rotation_in_progress=False,
    )
    return Update(after, _WHY), Update(shown, _WHY)
