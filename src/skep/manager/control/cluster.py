"""What the API asks of the cluster itself: init, settings, join tokens."""

from __future__ import annotations

from typing import Protocol

import msgspec

from skep.manager.control.writer import Store
from skep.model.cluster import Cluster, ClusterSecrets, ClusterSpec, JoinTokens
from skep.model.node import Node
from skep.store.change import Create


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a new cluster is made of: its ids and keys are given, not made here.

    `first_node` is the manager that runs `swarm init`, as it should be stored.
    `network_ids` are the ids of the ingress, host and bridge networks.
    """

    cluster_id: str
    secrets: ClusterSecrets
    first_node: Node
    network_ids: tuple[str, str, str]
    spec: ClusterSpec = ClusterSpec()
    default_addr_pool: list[str] = []
    subnet_size: int = 24
    data_path_port: int = 4789


def init_changes(birth: Birth) -> list[Create]:
    """The first commit of a cluster: Cluster, ClusterSecrets, first Node and its networks.

    Raises InvalidArgument when the address pool, the port or the spec make no sense.
    """
    raise NotImplementedError


class CertificateAuthority(Protocol):
    """What control asks of the room that keeps the cluster's identity (pure: values to values)."""

    def join_tokens(self, secrets: ClusterSecrets) -> JoinTokens: ...
    def rotate_worker_token(self, secrets: ClusterSecrets) -> ClusterSecrets: ...
    def rotate_manager_token(self, secrets: ClusterSecrets) -> ClusterSecrets: ...


class ClusterControl:
    """The settings and the join tokens of the one cluster."""

    def __init__(self, store: Store, ca: CertificateAuthority) -> None:
        self._store = store
        self._ca = ca

    def get(self) -> Cluster:
        """Raises Unavailable (503) when there is no cluster."""
        raise NotImplementedError

    def join_tokens(self) -> JoinTokens:
        raise NotImplementedError

    async def update(
        self,
        version: int,
        spec: ClusterSpec,
        *,
        rotate_worker_token: bool = False,
        rotate_manager_token: bool = False,
        rotate_manager_unlock_key: bool = False,
    ) -> None:
        """Replace the settings read at `version`, and make new join tokens where asked."""
        raise NotImplementedError
