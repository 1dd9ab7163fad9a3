"""The cluster itself: what it is born with, its settings, its join tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import pytest
from msgspec.structs import replace

from skep.kit.errors import InvalidArgument, NoCluster, OutOfSequence, Unimplemented
from skep.manager.ca.authority import Authority
from skep.manager.control import Control
from skep.manager.founding import Founding, first_commit
from skep.model.cluster import (
    CAConfig,
    Cluster,
    ClusterSecrets,
    ClusterSpec,
    EncryptionConfig,
    ExternalCA,
    JoinTokens,
    OrchestrationConfig,
    RaftConfig,
    TaskDefaults,
)
from skep.model.network import Network, NetworkSpec
from skep.model.node import TLSInfo
from skep.model.service import Driver
from skep.store.change import Change, Create, Stored, Update
from skep.store.memory import MemoryView
from skep.store.store import Store
from skep.testing.builders import node

SECRETS = ClusterSecrets(id="c")
FOUNDING = Founding(
    cluster_id="c", secrets=SECRETS, first_node=node("m1"), network_ids=("i", "h", "b")
)


def test_a_cluster_is_born_in_one_commit() -> None:
    born: list[Stored] = [
        Cluster(id="c", default_addr_pool=["10.0.0.0/8"]),
        SECRETS,
        node("m1"),
        Network(id="i", spec=NetworkSpec(name="ingress", ingress=True)),
        Network(id="h", spec=NetworkSpec(name="host", driver="host")),
        Network(id="b", spec=NetworkSpec(name="bridge", driver="bridge")),
    ]
    assert first_commit(FOUNDING) == [Create(new, why="swarm init") for new in born]


def test_what_a_client_says_with_zeros_was_not_said() -> None:
    """Docker's client sends them for every flag that was not given."""
    said = ClusterSpec(
        raft=RaftConfig(snapshot_interval=0, election_tick=0, heartbeat_tick=3),
        ca_config=CAConfig(node_cert_expiry=0, force_rotate=0),
    )
    cluster = first_commit(replace(FOUNDING, spec=said))[0].new
    assert isinstance(cluster, Cluster)
    assert cluster.spec == ClusterSpec(raft=RaftConfig(heartbeat_tick=3))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data_path_port": 80}, "invalid data path port 80"),
        ({"data_path_port": 49152}, "invalid data path port 49152"),
        ({"default_addr_pool": ["ten"]}, "invalid default address pool ten"),
        ({"default_addr_pool": ["10.0.0.1/8"]}, "has host bits set"),
        ({"default_addr_pool": ["10.0.0.0/24"], "subnet_size": 16}, "invalid subnet size /16"),
        ({"default_addr_pool": ["10.0.0.0/8"], "subnet_size": 30}, "invalid subnet size /30"),
        ({"default_addr_pool": ["10.0.0.0/8", "10.1.0.0/16"]}, "overlap"),
    ],
)
def test_a_cluster_that_makes_no_sense_is_not_born(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        first_commit(replace(FOUNDING, **changed))


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (ClusterSpec(name="mine"), InvalidArgument, 'is "default" and cannot be changed'),
        (
            ClusterSpec(ca_config=CAConfig(node_cert_expiry=1)),
            InvalidArgument,
            "minimum certificate expiry time is: 1h0m0s",
        ),
        (
            ClusterSpec(encryption_config=EncryptionConfig(auto_lock_managers=True)),
            Unimplemented,
            "autolock is not supported yet",
        ),
        (
            ClusterSpec(ca_config=CAConfig(external_cas=[ExternalCA(url="u")])),
            Unimplemented,
            "external certificate authorities",
        ),
        (
            ClusterSpec(task_defaults=TaskDefaults(log_driver=Driver(name="x"))),
            Unimplemented,
            "a default log driver",
        ),
    ],
)
async def test_settings_that_cannot_be_are_refused(
    control: Control, spec: ClusterSpec, error: type[Exception], message: str
) -> None:
    now = control.cluster.get()
    with pytest.raises(error, match=message):
        await control.cluster.update(now.version.index, spec)
    assert control.cluster.get() == now


def test_a_cluster_is_born_with_a_root_of_its_own() -> None:
    brought = ClusterSpec(ca_config=CAConfig(signing_ca_cert="pem", signing_ca_key="pem"))
    with pytest.raises(Unimplemented, match="bring yours with skep swarm ca --rotate"):
        first_commit(replace(FOUNDING, spec=brought))


def _secrets(store: Store) -> ClusterSecrets:
    secrets = store.view.cluster_secrets()
    assert secrets is not None
    return secrets


async def test_a_higher_count_begins_a_root_rotation_once(control: Control, store: Store) -> None:
    async def update(force_rotate: int = 0) -> str:
        wish = ClusterSpec(ca_config=CAConfig(force_rotate=force_rotate))
        await control.cluster.update(control.cluster.get().version.index, wish)
        return _secrets(store).rotation_certificate

    assert await update() == ""
    assert not control.cluster.get().root_rotation_in_progress
    assert await update(force_rotate=1) == "new"
    rotating = control.cluster.get()
    assert rotating.root_rotation_in_progress
    assert rotating.tls_info == TLSInfo(trust_root="old", cert_issuer_subject=b"new")
    secrets = _secrets(store)
    assert await update(force_rotate=1) == "new"
    assert _secrets(store) == secrets


async def test_a_root_that_is_brought_is_not_kept_among_the_settings(
    control: Control, store: Store
) -> None:
    config = CAConfig(signing_ca_cert="mine", signing_ca_key="secret")
    wish = ClusterSpec(ca_config=config)
    await control.cluster.update(control.cluster.get().version.index, wish)
    secrets = _secrets(store)
    assert (secrets.rotation_certificate, secrets.rotation_key) == ("mine", "secret")
    assert control.cluster.get().spec == ClusterSpec()
    back = ClusterSpec(ca_config=CAConfig(signing_ca_cert="old", signing_ca_key="secret"))
    await control.cluster.update(control.cluster.get().version.index, back)
    assert not control.cluster.get().root_rotation_in_progress


async def test_settings_are_replaced_by_who_read_the_newest(control: Control) -> None:
    wish = ClusterSpec(orchestration=OrchestrationConfig(task_history_retention_limit=2))
    read = control.cluster.get().version.index
    await control.cluster.update(read, wish)
    assert control.cluster.get().spec == wish
    with pytest.raises(OutOfSequence):
        await control.cluster.update(read, ClusterSpec())


async def test_what_the_cluster_writes_of_itself_makes_no_version_old(
    control: Control, store: Store
) -> None:
    read = control.cluster.get()
    await store.commit([Update(replace(read, root_rotation_in_progress=True))])
    await control.cluster.update(read.version.index, ClusterSpec(labels={"a": "b"}))
    assert control.cluster.get().root_rotation_in_progress


async def test_join_tokens_are_rotated_each_by_itself(control: Control) -> None:
    async def rotate(**which: bool) -> JoinTokens:
        await control.cluster.update(control.cluster.get().version.index, ClusterSpec(), **which)
        return control.cluster.join_tokens()

    assert control.cluster.join_tokens() == JoinTokens(worker="w", manager="m")
    assert await rotate(rotate_worker_token=True) == JoinTokens(worker="w+", manager="m")
    assert await rotate(rotate_manager_token=True) == JoinTokens(worker="w+", manager="m+")
    with pytest.raises(Unimplemented, match="there is no unlock key"):
        await rotate(rotate_manager_unlock_key=True)


def test_without_a_cluster_people_are_told_how_to_get_one() -> None:
    class Nothing:
        view = MemoryView()

        async def commit(self, changes: Sequence[Change]) -> NoReturn:
            raise AssertionError("nobody commits here")

        def watch(self) -> NoReturn:
            raise AssertionError("nobody watches here")

    control = Control(Nothing(), Authority())
    with pytest.raises(NoCluster):
        control.cluster.get()
    with pytest.raises(NoCluster):
        control.cluster.join_tokens()
