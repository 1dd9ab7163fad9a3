"""The cluster itself: its settings (docker: `SwarmSpec`) and its identity."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from skep.kit.clock import NS_PER_S
from skep.model.base import Object, Specified, Strict, Value
from skep.model.bounds import Count, DurationNs, Int64
from skep.model.node import TLSInfo
from skep.model.service import Driver


class OrchestrationConfig(Strict, frozen=True, omit_defaults=False):
    """`task_history_retention_limit`: dead tasks kept for each slot; negative = all."""

    task_history_retention_limit: Int64 = 5


class RaftConfig(Strict, frozen=True, omit_defaults=False):
    """Accepted and shown for docker's sake: skep's managers do not speak raft themselves."""

    snapshot_interval: Count = 10000
    keep_old_snapshots: Count = 0
    log_entries_for_slow_followers: Count = 500
    election_tick: Count = 10
    heartbeat_tick: Count = 1


class DispatcherConfig(Strict, frozen=True, omit_defaults=False):
    """`heartbeat_period` in ns; 0 = skep's own, which stretches with the number of nodes."""

    heartbeat_period: DurationNs = 0


class ExternalCA(Strict, frozen=True):
    protocol: str = ""
    url: str = field(name="URL", default="")
    options: dict[str, str] = {}
    ca_cert: str = field(name="CACert", default="")


DEFAULT_CERT_EXPIRY_NS = 90 * 24 * 3600 * NS_PER_S


class CAConfig(Strict, frozen=True, omit_defaults=False):
    node_cert_expiry: DurationNs = DEFAULT_CERT_EXPIRY_NS
    external_cas: list[ExternalCA] = field(name="ExternalCAs", default_factory=list)
    signing_ca_cert: str = field(name="SigningCACert", default="")
    signing_ca_key: str = field(name="SigningCAKey", default="")
    force_rotate: Count = 0


class TaskDefaults(Strict, frozen=True):
    log_driver: Driver | None = None


class EncryptionConfig(Strict, frozen=True, omit_defaults=False):
    auto_lock_managers: bool = False


class ClusterSpec(Strict, frozen=True, omit_defaults=False):
    """The body of POST /swarm/update."""

    name: str = "default"
    labels: dict[str, str] = {}
    orchestration: OrchestrationConfig = OrchestrationConfig()
    raft: RaftConfig = RaftConfig()
    dispatcher: DispatcherConfig = DispatcherConfig()
    ca_config: CAConfig = field(name="CAConfig", default=CAConfig())
    task_defaults: TaskDefaults = TaskDefaults()
    encryption_config: EncryptionConfig = EncryptionConfig()


class JoinTokens(Value, frozen=True):
    worker: str = ""
    manager: str = ""


class Cluster(Specified, frozen=True, kw_only=True):
    """The one object of its kind; GET /swarm shows it with the join tokens added."""

    id: str
    spec: ClusterSpec = ClusterSpec()
    tls_info: TLSInfo = field(name="TLSInfo", default=TLSInfo())
    root_rotation_in_progress: bool = False
    data_path_port: Int64 = 4789
    default_addr_pool: list[str] = []
    subnet_size: Annotated[int, Meta(ge=1, le=30)] = 24


class ClusterSecrets(Object, frozen=True, kw_only=True):
    """What only managers may know: the root's key and the join secrets. Never in an answer.

    Its id is the cluster's id. PEM text; join tokens are made from the root's digest and these.
    """

    root_certificate: str = ""
    root_key: str = ""
    worker_secret: str = ""
    manager_secret: str = ""
    rotation_certificate: str = ""
    rotation_key: str = ""
    rotation_cross_certificate: str = ""
