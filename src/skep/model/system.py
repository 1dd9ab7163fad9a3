"""What a daemon says of itself: GET /version, GET /info, and its place in a cluster.

Sources: Engine API 1.50 (SystemVersion, SystemInfo, SwarmInfo, ClusterInfo).
"""

from __future__ import annotations

from typing import Any, Literal, Self

import msgspec
from msgspec import field

from skep.kit.clock import ZERO_TIME
from skep.model.base import Strict, Value, Version
from skep.model.bounds import Count, Int64, Moment, Port
from skep.model.cluster import Cluster, ClusterSpec, JoinTokens
from skep.model.container import ContainerSummary
from skep.model.image import ImageSummary
from skep.model.node import Availability, TLSInfo
from skep.model.service import GenericResource
from skep.model.volume import Volume

LocalNodeState = Literal["inactive", "pending", "active", "error", "locked"]


class VersionPlatform(Value, frozen=True, omit_defaults=False):
    name: str = ""


class Component(Value, frozen=True, omit_defaults=False):
    """A program that takes part, with its version; details are texts, shown as they are."""

    name: str
    version: str
    details: dict[str, str] = {}


class SystemVersion(Value, frozen=True, omit_defaults=False):
    """GET /version."""

    platform: VersionPlatform = VersionPlatform()
    components: list[Component] = []
    version: str = ""
    api_version: str = field(name="ApiVersion", default="")
    min_api_version: str = field(name="MinAPIVersion", default="")
    git_commit: str = ""
    go_version: str = ""
    os: str = field(name="Os", default="linux")
    arch: str = ""
    kernel_version: str = ""
    build_time: str = ""


class Peer(Value, frozen=True, omit_defaults=False):
    """A manager as a node knows it; `addr` is host:port."""

    node_id: str = field(name="NodeID", default="")
    addr: str = ""


class ClusterInfo(Value, frozen=True, omit_defaults=False):
    """The cluster without its secrets: a block of GET /info on a manager. What both have is named
    as in `Cluster`."""

    id: str
    version: Version = Version()
    created_at: Moment = ZERO_TIME
    updated_at: Moment = ZERO_TIME
    spec: ClusterSpec = ClusterSpec()
    tls_info: TLSInfo = field(name="TLSInfo", default=TLSInfo())
    root_rotation_in_progress: bool = False
    default_addr_pool: list[str] = []
    subnet_size: Int64 = 24
    data_path_port: Int64 = 4789

    @classmethod
    def of(cls, cluster: Cluster, **more: Any) -> Self:
        """The cluster as it is shown; `more` are the fields that a block adds."""
        shared = {name: getattr(cluster, name) for name in ClusterInfo.__struct_fields__}
        return cls(**shared, **more)


class SwarmInit(Strict, frozen=True):
    """The body of POST /swarm/init. Zero values in `spec` mean Swarm's defaults."""

    listen_addr: str = ""
    advertise_addr: str = ""
    data_path_addr: str = ""
    data_path_port: Port = 0
    default_addr_pool: list[str] = []
    subnet_size: Count = 0
    force_new_cluster: bool = False
    auto_lock_managers: bool = False
    availability: Availability | Literal[""] = ""
    spec: ClusterSpec = ClusterSpec()


class SwarmJoin(Strict, frozen=True):
    """The body of POST /swarm/join."""

    listen_addr: str = ""
    advertise_addr: str = ""
    data_path_addr: str = ""
    remote_addrs: list[str] = []
    join_token: str = ""
    availability: Availability | Literal[""] = ""


class SwarmInspect(ClusterInfo, frozen=True, omit_defaults=False):
    """GET /swarm."""

    join_tokens: JoinTokens = JoinTokens()


class SwarmInfo(Value, frozen=True, omit_defaults=False):
    """A node's place in a cluster: the `Swarm` block of GET /info.

    `nodes` and `managers` count, `cluster` tells: on managers only.
    """

    node_id: str = field(name="NodeID", default="")
    node_addr: str = ""
    local_node_state: LocalNodeState = "inactive"
    control_available: bool = False
    error: str = ""
    remote_managers: list[Peer] | None = None
    nodes: Int64 = 0
    managers: Int64 = 0
    cluster: ClusterInfo | None = None
    warnings: list[str] = []


class DiskUsage(Value, frozen=True, omit_defaults=False):
    """GET /system/df, sizes in bytes. There is no builder, so no build cache."""

    layers_size: Int64 = 0
    images: list[ImageSummary] = []
    containers: list[ContainerSummary] = []
    volumes: list[Volume] = []
    build_cache: list[dict[str, Any]] = []


class PluginsInfo(Value, frozen=True, omit_defaults=False):
    volume: tuple[str, ...] = ("local",)
    network: tuple[str, ...] = ("bridge", "host", "null", "overlay")
    authorization: tuple[str, ...] | None = None
    log: tuple[str, ...] = ("json-file", "none")


class IndexInfo(Value, frozen=True, omit_defaults=False):
    """A registry as the daemon treats it."""

    name: str
    mirrors: list[str] = []
    secure: bool = True
    official: bool = False


class RegistryConfig(Value, frozen=True, omit_defaults=False):
    insecure_registry_cidrs: list[str] = field(name="InsecureRegistryCIDRs", default_factory=list)
    index_configs: dict[str, IndexInfo] = {}
    mirrors: list[str] = []


class Commit(Value, frozen=True, omit_defaults=False):
    """A program's version where docker shows the commit that it was built from."""

    id: str = ""


class RuntimeInfo(msgspec.Struct, frozen=True):
    path: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What does not change while a daemon runs: its own settings and its machine.

    `daemon_id` is made once for a data root. `components` are the programs that it runs on, with
    their versions. Memory in bytes.
    """

    daemon_id: str
    hostname: str
    data_root: str
    kernel_version: str
    operating_system: str
    os_version: str
    machine: str
    """As uname says it: x86_64."""
    cpus: Int64
    memory_bytes: Int64
    cgroup_version: Int64
    components: tuple[Component, ...] = ()
    labels: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    security_options: tuple[str, ...] = ("name=seccomp,profile=builtin",)
    runtimes: dict[str, str] = {}
    """Name to program: {"runc": "/usr/sbin/runc"}."""
    backing_filesystem: str = ""
    """What the data root lies on, in docker's word."""
    init_binary: str = ""
    warnings: tuple[str, ...] = ()


class SystemInfo(Value, frozen=True, omit_defaults=False):
    """GET /info. Times are RFC 3339 text, `mem_total` is in bytes."""

    id: str
    containers: Int64 = 0
    containers_running: Int64 = 0
    containers_paused: Int64 = 0
    containers_stopped: Int64 = 0
    images: Int64 = 0
    driver: str = "overlay2"
    driver_status: list[tuple[str, str]] = []
    docker_root_dir: str = ""
    plugins: PluginsInfo = PluginsInfo()
    memory_limit: bool = True
    swap_limit: bool = True
    cpu_cfs_period: bool = field(name="CpuCfsPeriod", default=True)
    cpu_cfs_quota: bool = field(name="CpuCfsQuota", default=True)
    cpu_shares: bool = field(name="CPUShares", default=True)
    cpu_set: bool = field(name="CPUSet", default=True)
    pids_limit: bool = True
    ipv4_forwarding: bool = field(name="IPv4Forwarding", default=True)
    oom_kill_disable: bool = False
    debug: bool = False
    n_fd: Int64 = field(name="NFd", default=0)
    n_goroutines: Int64 = field(name="NGoroutines", default=0)
    system_time: str = ""
    logging_driver: str = "json-file"
    cgroup_driver: str = "cgroupfs"
    cgroup_version: str = "2"
    n_events_listener: Int64 = field(name="NEventsListener", default=0)
    kernel_version: str = ""
    operating_system: str = ""
    os_version: str = field(name="OSVersion", default="")
    os_type: str = field(name="OSType", default="linux")
    architecture: str = ""
    index_server_address: str = "https://index.docker.io/v1/"
    registry_config: RegistryConfig = RegistryConfig()
    ncpu: Int64 = field(name="NCPU", default=0)
    mem_total: Int64 = 0
    generic_resources: list[GenericResource] | None = None
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    name: str = ""
    labels: list[str] = []
    experimental_build: bool = False
    server_version: str = ""
    runtimes: dict[str, RuntimeInfo] = {}
    default_runtime: str = "runc"
    swarm: SwarmInfo = SwarmInfo()
    live_restore_enabled: bool = True
    isolation: str = ""
    init_binary: str = ""
    containerd_commit: Commit = Commit()
    runc_commit: Commit = Commit()
    init_commit: Commit = Commit()
    security_options: list[str] = []
    product_license: str = ""
    default_address_pools: list[dict[str, Any]] = []
    cdi_spec_dirs: list[str] = field(name="CDISpecDirs", default_factory=list)
    warnings: list[str] | None = None
