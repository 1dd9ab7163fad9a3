"""Ends a root rotation when every node holds a certificate of the new root: a deciding room."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec.structs import replace

from skep.manager.ca import authority
from skep.manager.room import NewId
from skep.model.cluster import Cluster, ClusterSecrets
from skep.model.node import Node
from skep.store.change import Event, Plan, Update, View

_KEY = "root"


class RootRotation:
    """Both roots are trusted while nodes renew; with the last of them the old one goes."""

    name = "root rotation"

    def dirty(self, event: Event, view: View) -> Iterable[str]:
        secrets = view.cluster_secrets()
        concerned = event.kind in {"node", "cluster-secrets"}
        rotating = secrets is not None and bool(secrets.rotation_certificate)
        return (_KEY,) if concerned and rotating else ()

    def everything(self, view: View) -> Iterable[str]:
        return (_KEY,)

    def plan(self, view: View, keys: frozenset[str], now: datetime, new_id: NewId) -> Plan:
        secrets, cluster = view.cluster_secrets(), view.cluster()
        if secrets is None or cluster is None or not secrets.rotation_certificate:
            return Plan()
        waiting = sum(must_renew(node, secrets) for node in view.nodes())
        if waiting:
            return Plan(explanations=(f"{waiting} nodes have yet to renew their certificates",))
        return Plan(
            changes=finished(cluster, secrets),
            explanations=("every node has renewed: the new root is the only one",),
        )


def must_renew(node: Node, secrets: ClusterSecrets) -> bool:
    """The node's certificate is not the newest root's."""
    newest = secrets.rotation_certificate or secrets.root_certificate
    return node.description.tls_info.trust_root != newest


def finished(cluster: Cluster, secrets: ClusterSecrets) -> tuple[Update, Update]:
    why = "root rotation finished"
    after = authority.finish_rotation(secrets)
    shown = replace(
        cluster,
        tls_info=authority.tls_info(after.root_certificate),
        root_rotation_in_progress=False,
    )
    return Update(after, why), Update(shown, why)
