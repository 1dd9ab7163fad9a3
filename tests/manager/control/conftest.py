"""A control over a real store in a folder of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from skep.manager.control import Control
from skep.manager.founding import Founding, first_commit
from skep.model.cluster import ClusterSecrets, JoinTokens
from skep.model.node import TLSInfo
from skep.store.change import Create
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing.builders import ids, node


class PlainAuthority:
    """Tokens that can be read: `CertificateAuthority` without cryptography."""

    def join_tokens(self, secrets: ClusterSecrets) -> JoinTokens:
        return JoinTokens(worker=secrets.worker_secret, manager=secrets.manager_secret)

    def rotate_worker_token(self, secrets: ClusterSecrets) -> ClusterSecrets:
        return replace(secrets, worker_secret=secrets.worker_secret + "+")

    def rotate_manager_token(self, secrets: ClusterSecrets) -> ClusterSecrets:
        return replace(secrets, manager_secret=secrets.manager_secret + "+")

    def rotate_root(self, secrets: ClusterSecrets, certificate: str, key: str) -> ClusterSecrets:
        if certificate == secrets.root_certificate:
            return replace(secrets, root_key=key, rotation_certificate="")
        return replace(secrets, rotation_certificate=certificate or "new", rotation_key=key)

    def tls_info(self, secrets: ClusterSecrets) -> TLSInfo:
        signer = secrets.rotation_certificate or secrets.root_certificate
        return TLSInfo(trust_root=secrets.root_certificate, cert_issuer_subject=signer.encode())


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Primary]:
    """A cluster just initialised: manager m1, worker w1, the ingress, host and bridge networks."""
    store = Primary(SqliteLog(tmp_path / "store.db"))
    await store.start()
    manager = replace(node("m1"), certificate_role="manager")
    manager = replace(manager, spec=replace(manager.spec, role="manager"))
    founding = Founding(
        cluster_id="cluster",
        secrets=ClusterSecrets(
            id="cluster", root_certificate="old", worker_secret="w", manager_secret="m"
        ),
        first_node=manager,
        network_ids=("ingress-id", "host-id", "bridge-id"),
    )
    await store.commit([*first_commit(founding), Create(node("w1"))])
    yield store
    await store.close()


@pytest.fixture
def control(store: Primary) -> Control:
    return Control(store, PlainAuthority(), ids("id"))
