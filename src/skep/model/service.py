"""Services: what the user wants to run (`ServiceSpec`) and what was made of it (`Service`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta, field

from skep.kit.clock import NS_PER_S, ZERO_TIME
from skep.model.base import Object, Specified, Strict, Value, Version, always_shown
from skep.model.bounds import Count, DurationNs, Int64, Moment, Name, Port, UInt32

Transport = Literal["tcp", "udp", "sctp"]


class Driver(Strict, frozen=True):
    """A named driver and its options (logging, networks, addresses)."""

    name: str = ""
    options: dict[str, str] = {}


class HealthConfig(Strict, frozen=True):
    """How to ask a container whether it is well. Durations in ns; 0 means the default.

    `test`: [] inherit, ["NONE"] off, ["CMD", …] exec, ["CMD-SHELL", command] by the shell.
    """

    test: list[str] = []
    interval: DurationNs = 0
    timeout: DurationNs = 0
    start_period: DurationNs = 0
    start_interval: DurationNs = 0
    retries: Count = 0


class BindOptions(Strict, frozen=True):
    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class VolumeOptions(Strict, frozen=True):
    no_copy: bool = False
    labels: dict[str, str] = {}
    subpath: str = ""
    driver_config: Driver | None = None


class TmpfsOptions(Strict, frozen=True):
    """`size_bytes` 0 = no limit; `mode` is the folder's file mode."""

    size_bytes: Count = 0
    mode: UInt32 = 0
    options: list[list[str]] = []


class ImageOptions(Strict, frozen=True):
    subpath: str = ""


class Mount(Strict, frozen=True):
    """One mount of a container, of a service or of `run --mount`."""

    type: Literal["bind", "volume", "tmpfs", "npipe", "cluster", "image"] = always_shown("volume")
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    tmpfs_options: TmpfsOptions | None = None
    image_options: ImageOptions | None = None
    cluster_options: dict[str, str] | None = None


class Ulimit(Strict, frozen=True):
    name: str = ""
    soft: Int64 = 0
    hard: Int64 = 0


class DNSConfig(Strict, frozen=True):
    nameservers: list[str] = []
    search: list[str] = []
    options: list[str] = []


class SELinuxContext(Strict, frozen=True):
    disable: bool = False
    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


class SeccompOpts(Strict, frozen=True):
    mode: str = ""
    profile: bytes = b""


class AppArmorOpts(Strict, frozen=True):
    mode: str = ""


class CredentialSpec(Strict, frozen=True):
    config: str = ""
    file: str = ""
    registry: str = ""


class Privileges(Strict, frozen=True):
    credential_spec: CredentialSpec | None = None
    se_linux_context: SELinuxContext | None = field(name="SELinuxContext", default=None)
    seccomp: SeccompOpts | None = None
    app_armor: AppArmorOpts | None = None
    no_new_privileges: bool = False


class FileTarget(Strict, frozen=True, omit_defaults=False):
    """Where a secret or config appears in a container. `mode` is Go's os.FileMode bits."""

    name: str = ""
    uid: str = "0"
    gid: str = "0"
    mode: UInt32 = 0o444


class SecretReference(Strict, frozen=True):
    file: FileTarget | None = None
    secret_id: str = field(name="SecretID", default="")
    secret_name: str = ""


class ConfigReference(Strict, frozen=True):
    file: FileTarget | None = None
    runtime: dict[str, str] | None = None
    config_id: str = field(name="ConfigID", default="")
    config_name: str = ""


class ContainerSpec(Strict, frozen=True):
    """The process of a task. `command` replaces the image's entrypoint, `args` its command.

    `hosts` lines are "address name…". `stop_grace_period` in ns, None = 10 s.
    """

    unsupported: ClassVar = {"Capabilities": []}

    image: str = ""
    labels: dict[str, str] = {}
    command: list[str] = []
    args: list[str] = []
    hostname: str = ""
    env: list[str] = []
    dir: str = ""
    user: str = ""
    groups: list[str] = []
    privileges: Privileges | None = None
    init: bool | None = None
    stop_signal: str = ""
    tty: bool = False
    open_stdin: bool = False
    read_only: bool = False
    mounts: list[Mount] = []
    stop_grace_period: DurationNs | None = None
    healthcheck: HealthConfig | None = None
    hosts: list[str] = []
    dns_config: DNSConfig | None = None
    secrets: list[SecretReference] = []
    configs: list[ConfigReference] = []
    isolation: str = always_shown("default")
    sysctls: dict[str, str] = {}
    capability_add: list[str] = []
    capability_drop: list[str] = []
    ulimits: list[Ulimit] = []
    oom_score_adj: Int64 = 0


class NamedGenericResource(Strict, frozen=True):
    kind: Name
    value: Name


class DiscreteGenericResource(Strict, frozen=True):
    kind: Name
    value: Int64


class GenericResource(Strict, frozen=True):
    """One named thing, or a number of unnamed ones, that a node has or a task is given."""

    named_resource_spec: NamedGenericResource | None = None
    discrete_resource_spec: DiscreteGenericResource | None = None


_GenericResources = Annotated[list[GenericResource], Meta(max_length=1_024)]


class Limit(Strict, frozen=True):
    """What a container may use at most; 0 = no limit. `nano_cpus`: 10**9 is one processor."""

    unsupported: ClassVar = {"GenericResources": []}

    nano_cpus: Int64 = field(name="NanoCPUs", default=0)
    memory_bytes: Int64 = 0
    pids: Int64 = field(name="Pids", default=0)


class Resources(Strict, frozen=True):
    """What a node has, or what a task reserves on it."""

    nano_cpus: Int64 = field(name="NanoCPUs", default=0)
    memory_bytes: Int64 = 0
    generic_resources: _GenericResources = []


class ResourceRequirements(Strict, frozen=True):
    unsupported: ClassVar = {"SwapBytes": 0, "MemorySwappiness": -1}

    limits: Limit | None = None
    reservations: Resources | None = None


class RestartPolicy(Strict, frozen=True):
    """When a dead task gets a successor. `window` 0 = all attempts ever count."""

    condition: Literal["none", "on-failure", "any"] = always_shown("any")
    delay: DurationNs | None = None
    max_attempts: Count | None = None
    window: DurationNs | None = None


class SpreadOver(Strict, frozen=True):
    spread_descriptor: str = ""


class PlacementPreference(Strict, frozen=True):
    """Which of the possible nodes is better. At most one is set.

    `spread` evens tasks out over the values of a label. `binpack` (ours, not docker's) fills the
    node whose reserved share of that resource is the greatest.
    """

    spread: SpreadOver | None = None
    binpack: Literal["", "cpu", "memory"] = ""


class Platform(Strict, frozen=True):
    """Empty = any. Go's names (amd64) and uname's (x86_64) both occur."""

    architecture: Name = ""
    os: Name = field(name="OS", default="")


class Placement(Strict, frozen=True):
    constraints: list[str] = []
    preferences: list[PlacementPreference] = []
    max_replicas: Count = 0
    platforms: list[Platform] = []


class NetworkAttachmentConfig(Strict, frozen=True):
    """A wish to be on a network. `target` is an id or a name until control resolved it."""

    target: str = ""
    aliases: list[str] = []
    driver_opts: dict[str, str] = {}


class TaskSpec(Strict, frozen=True):
    """What every task of a service is made from. `force_update` counts `--force`s."""

    container_spec: ContainerSpec | None = None
    plugin_spec: dict[str, msgspec.Raw] | None = None
    network_attachment_spec: dict[str, msgspec.Raw] | None = None
    resources: ResourceRequirements | None = None
    restart_policy: RestartPolicy | None = None
    placement: Placement | None = None
    networks: list[NetworkAttachmentConfig] = []
    log_driver: Driver | None = None
    force_update: Count = always_shown(0)
    runtime: str = always_shown("container")


class ReplicatedService(Strict, frozen=True):
    replicas: Count | None = None


class GlobalService(Strict, frozen=True):
    pass


class ReplicatedJob(Strict, frozen=True):
    max_concurrent: Count | None = None
    total_completions: Count | None = None


class GlobalJob(Strict, frozen=True):
    pass


class ServiceMode(Strict, frozen=True):
    """Exactly one is set; none means replicated with one replica."""

    replicated: ReplicatedService | None = None
    global_: GlobalService | None = field(name="Global", default=None)
    replicated_job: ReplicatedJob | None = None
    global_job: GlobalJob | None = None


class UpdateConfig(Strict, frozen=True):
    """How a rolling update (or rollback) goes. `parallelism` 0 = all at once; times in ns."""

    parallelism: Count = always_shown(0)
    delay: DurationNs = 0
    failure_action: Literal["", "pause", "continue", "rollback"] = ""
    monitor: DurationNs | None = None
    max_failure_ratio: Annotated[float, Meta(ge=0, le=1)] = always_shown(0.0)
    order: Literal["", "stop-first", "start-first"] = ""


class PortConfig(Strict, frozen=True, omit_defaults=False):
    """A published port. `published_port` 0 = choose one (ingress: 30000-32767)."""

    name: Name = ""
    protocol: Transport = "tcp"
    target_port: Port = 0
    published_port: Port = 0
    publish_mode: Literal["ingress", "host"] = "ingress"


class EndpointSpec(Strict, frozen=True):
    mode: Literal["", "vip", "dnsrr"] = ""
    ports: list[PortConfig] = []


class ServiceSpec(Strict, frozen=True):
    """The body of POST /services/create and /services/{id}/update."""

    name: str = ""
    labels: dict[str, str] = always_shown({})
    task_template: TaskSpec = TaskSpec()
    mode: ServiceMode = ServiceMode()
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    networks: list[NetworkAttachmentConfig] = []
    endpoint_spec: EndpointSpec | None = None


class EndpointVIP(Value, frozen=True):
    """`addr` is an address with its prefix length: "10.0.1.2/24"."""

    network_id: str = field(name="NetworkID", default="")
    addr: str = ""


class Endpoint(Value, frozen=True):
    """What the allocator gave a service."""

    spec: EndpointSpec = EndpointSpec()
    ports: list[PortConfig] = []
    virtual_ips: list[EndpointVIP] = field(name="VirtualIPs", default_factory=list)


UpdateState = Literal[
    "updating",
    "paused",
    "completed",
    "rollback_started",
    "rollback_paused",
    "rollback_completed",
]


class UpdateStatus(Value, frozen=True, omit_defaults=False):
    """How far a rolling update is. Absent times are None."""

    state: UpdateState = "updating"
    started_at: Moment | None = None
    completed_at: Moment | None = None
    message: str = ""


class ServiceStatus(Value, frozen=True, omit_defaults=False):
    """Counted on demand for GET /services?status=1; never stored."""

    running_tasks: Int64 = 0
    desired_tasks: Int64 = 0
    completed_tasks: Int64 = 0


class JobStatus(Value, frozen=True, omit_defaults=False):
    job_iteration: Version = Version()
    last_execution: Moment = ZERO_TIME


class Service(Specified, frozen=True, kw_only=True, omit_defaults=True):
    """A service as stored and as GET /services/{id} shows it.

    `spec_version` numbers the specs that the service had: it grows with each update, and a manual
    rollback brings the old number back with the old spec. Every task carries the one that it was
    made from.

    `wanted_replicas` stands beside the spec for whoever counts better than a person (an
    autoscaler): while it says a number, the spec's own is not heeded. Another number of a user's
    takes it away (`defaults.wish_beside`).
    """

    id: str
    version: Version
    created_at: Moment
    updated_at: Moment
    spec: ServiceSpec
    previous_spec: ServiceSpec | None = None
    endpoint: Endpoint
    update_status: UpdateStatus | None = None
    job_status: JobStatus | None = None
    service_status: ServiceStatus | None = None
    spec_version: Version = Version()
    previous_spec_version: Version | None = None
    wanted_replicas: Count | None = None


class RegistryAuth(Object, frozen=True, kw_only=True):
    """The credentials (X-Registry-Auth, as sent) that a service's image is pulled with.

    Its id is the service's id. Kept apart from the service so that no answer can show it.
    """

    current: str = ""
    previous: str = ""


MOST_REPLICAS = 100_000
"""Of one service. Swarm knows no end, and takes the manager down with it."""
DEFAULT_STOP_GRACE_NS = 10 * NS_PER_S
DEFAULT_RESTART_DELAY_NS = 5 * NS_PER_S
DEFAULT_MONITOR_NS = 5 * NS_PER_S
