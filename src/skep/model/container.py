"""Containers as the Engine API writes them: what a caller asks for and what is shown of them.

Source: Engine API 1.50 (ContainerConfig, HostConfig, EndpointSettings, ContainerInspectResponse,
ContainerSummary, ExecInspect, ContainerStats). What is asked for is `Strict`: every key that docker
has or had is known. Which of its wishes the engine fulfils is engine/containers/checks.py's matter.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, field

from skep.kit.clock import ZERO_TIME
from skep.model.base import Strict, Value
from skep.model.bounds import Count, Int64, Moment
from skep.model.service import HealthConfig, Mount, Ulimit

Nothing = dict[str, Any]
"""Go's `struct{}`: docker writes sets as `{"80/tcp": {}}`."""

ContainerState = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]
HealthStatus = Literal["none", "starting", "healthy", "unhealthy"]


class ContainerConfig(Strict, frozen=True, omit_defaults=False):
    """What runs. `entrypoint` and `cmd` None take the image's; text is one word (Go's StrSlice)."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, Nothing] = {}
    tty: bool = field(name="Tty", default=False)
    open_stdin: bool = False
    stdin_once: bool = False
    env: list[str] = []
    cmd: list[str] | str | None = None
    healthcheck: HealthConfig | None = None
    args_escaped: bool = False
    image: str = ""
    volumes: dict[str, Nothing] = {}
    working_dir: str = ""
    entrypoint: list[str] | str | None = None
    network_disabled: bool = False
    mac_address: str = ""
    on_build: list[str] | None = None
    labels: dict[str, str] = {}
    stop_signal: str = ""
    stop_timeout: Int64 | None = None
    shell: list[str] | None = None


class PortBinding(Strict, frozen=True, omit_defaults=False):
    """`host_port` is text: "8080", "8000-8010" (one that is free) or "" (any)."""

    host_ip: str = field(name="HostIp", default="")
    host_port: str = ""


class RestartPolicy(Strict, frozen=True, omit_defaults=False):
    """When `run` starts a container again by itself. "" is "no"."""

    name: Literal["", "no", "always", "unless-stopped", "on-failure"] = ""
    maximum_retry_count: Count = 0


class LogConfig(Strict, frozen=True, omit_defaults=False):
    type: str = ""
    config: dict[str, str] = {}


class DeviceMapping(Strict, frozen=True, omit_defaults=False):
    path_on_host: str = ""
    path_in_container: str = ""
    cgroup_permissions: str = ""


class DeviceRequest(Strict, frozen=True, omit_defaults=False):
    driver: str = ""
    count: Int64 = 0
    device_ids: list[str] = field(name="DeviceIDs", default_factory=list)
    capabilities: list[list[str]] = []
    options: dict[str, str] = {}


class WeightDevice(Strict, frozen=True, omit_defaults=False):
    path: str = ""
    weight: Count = 0


class ThrottleDevice(Strict, frozen=True, omit_defaults=False):
    path: str = ""
    rate: Count = 0


class Resources(Strict, frozen=True, omit_defaults=False, rename="pascal"):
    """Limits. 0 is no limit; memory in bytes, cpu periods and quotas in µs, 10**9 nano cpus = 1."""

    cpu_shares: Int64 = 0
    memory: Int64 = 0
    nano_cpus: Int64 = 0
    cgroup_parent: str = ""
    blkio_weight: Annotated[int, Meta(ge=0, le=65535)] = 0
    blkio_weight_device: list[WeightDevice] = []
    blkio_device_read_bps: list[ThrottleDevice] = []
    blkio_device_write_bps: list[ThrottleDevice] = []
    blkio_device_read_iops: list[ThrottleDevice] = field(
        name="BlkioDeviceReadIOps", default_factory=list
    )
    blkio_device_write_iops: list[ThrottleDevice] = field(
        name="BlkioDeviceWriteIOps", default_factory=list
    )
    cpu_period: Int64 = 0
    cpu_quota: Int64 = 0
    cpu_realtime_period: Int64 = 0
    cpu_realtime_runtime: Int64 = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: list[DeviceMapping] = []
    device_cgroup_rules: list[str] = []
    device_requests: list[DeviceRequest] = []
    kernel_memory: Int64 = 0
    kernel_memory_tcp: Int64 = field(name="KernelMemoryTCP", default=0)
    memory_reservation: Int64 = 0
    memory_swap: Int64 = 0
    memory_swappiness: Int64 | None = None
    oom_kill_disable: bool | None = None
    pids_limit: Int64 | None = None
    ulimits: list[Ulimit] = []
    cpu_count: Int64 = 0
    cpu_percent: Int64 = 0
    io_maximum_iops: Int64 = field(name="IOMaximumIOps", default=0)
    io_maximum_bandwidth: Int64 = field(name="IOMaximumBandwidth", default=0)


class ContainerUpdate(Resources, frozen=True, rename="pascal"):
    """The body of POST /containers/{id}/update; what is 0 or absent stays as it is."""

    unsupported: ClassVar = {"Init": False}

    restart_policy: RestartPolicy = RestartPolicy()


class HostConfig(Resources, frozen=True, rename="pascal"):
    """How it runs on this host. `masked_paths` and `readonly_paths` None are the default lists."""

    unsupported: ClassVar = {"Capabilities": [], "DiskQuota": 0, "InitPath": ""}

    binds: list[str] = []
    container_id_file: str = field(name="ContainerIDFile", default="")
    log_config: LogConfig = LogConfig()
    network_mode: str = ""
    port_bindings: dict[str, list[PortBinding]] = {}
    restart_policy: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: list[str] = []
    console_size: list[Int64] = field(default_factory=lambda: [0, 0])
    annotations: dict[str, str] = {}
    cap_add: list[str] = []
    cap_drop: list[str] = []
    cgroupns_mode: str = ""
    dns: list[str] = []
    dns_options: list[str] = []
    dns_search: list[str] = []
    extra_hosts: list[str] = []
    group_add: list[str] = []
    ipc_mode: str = ""
    cgroup: str = ""
    links: list[str] = []
    oom_score_adj: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: list[str] = []
    storage_opt: dict[str, str] = {}
    tmpfs: dict[str, str] = {}
    uts_mode: str = field(name="UTSMode", default="")
    userns_mode: str = ""
    shm_size: Count = 0
    sysctls: dict[str, str] = {}
    runtime: str = ""
    isolation: str = ""
    mounts: list[Mount] = []
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None
    init: bool | None = None


class EndpointIPAMConfig(Strict, frozen=True):
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: list[str] = field(name="LinkLocalIPs", default_factory=list)


class EndpointSettings(Strict, frozen=True, omit_defaults=False):
    """A container's place on one network: the wish (above) and what came of it (below)."""

    ipam_config: EndpointIPAMConfig | None = None
    links: list[str] | None = None
    aliases: list[str] | None = None
    mac_address: str = ""
    driver_opts: dict[str, str] | None = None
    gw_priority: Int64 = 0

    network_id: str = field(name="NetworkID", default="")
    endpoint_id: str = field(name="EndpointID", default="")
    gateway: str = ""
    ip_address: str = ""
    ip_prefix_len: Int64 = 0
    ipv6_gateway: str = ""
    global_ipv6_address: str = ""
    global_ipv6_prefix_len: Int64 = 0
    dns_names: list[str] | None = field(name="DNSNames", default=None)


class NetworkingConfig(Strict, frozen=True):
    """Network name or id -> wish; "default" and "" stand for HostConfig.NetworkMode's network."""

    endpoints_config: dict[str, EndpointSettings] = {}


class ContainerCreate(ContainerConfig, frozen=True):
    """The body of POST /containers/create: the config with two more keys."""

    unsupported: ClassVar = {"Runtime": "runc"}

    host_config: HostConfig = HostConfig()
    networking_config: NetworkingConfig = NetworkingConfig()


class ContainerCreated(Value, frozen=True, omit_defaults=False):
    id: str = field(name="Id")
    warnings: list[str] = []


class ContainerUpdated(Value, frozen=True, omit_defaults=False):
    warnings: list[str] = []


class HealthcheckResult(Value, frozen=True, omit_defaults=False):
    """One probe. `output` is at most 4096 bytes; exit code 0 healthy, 1 unhealthy, -1 time-out."""

    start: Moment = ZERO_TIME
    end: Moment = ZERO_TIME
    exit_code: Int64 = 0
    output: str = ""


class Health(Value, frozen=True, omit_defaults=False):
    """`log` is the last five probes, oldest first."""

    status: HealthStatus = "none"
    failing_streak: Int64 = 0
    log: list[HealthcheckResult] = []


class StateInspect(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`State` of an inspected container. `exit_code` -1 never occurs: it is 0 before the end."""

    status: ContainerState
    running: bool
    paused: bool
    restarting: bool
    oom_killed: bool = field(name="OOMKilled", default=False)
    dead: bool = False
    pid: Int64 = 0
    exit_code: Int64 = 0
    error: str = ""
    started_at: Moment = ZERO_TIME
    finished_at: Moment = ZERO_TIME
    health: Health | msgspec.UnsetType | None = msgspec.UNSET


class MountPoint(Value, frozen=True, omit_defaults=False):
    """One mount of a container, as inspect and ps show it."""

    type: str
    name: str = ""
    source: str = ""
    destination: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = field(name="RW", default=True)
    propagation: str = ""


class NetworkSettings(Value, frozen=True, omit_defaults=False):
    """The flat fields are those of the default bridge, as docker shows them still."""

    bridge: str = ""
    sandbox_id: str = field(name="SandboxID", default="")
    sandbox_key: str = ""
    ports: dict[str, list[PortBinding] | None] = {}
    endpoint_id: str = field(name="EndpointID", default="")
    gateway: str = ""
    global_ipv6_address: str = ""
    global_ipv6_prefix_len: Int64 = 0
    ip_address: str = ""
    ip_prefix_len: Int64 = 0
    ipv6_gateway: str = ""
    mac_address: str = ""
    networks: dict[str, EndpointSettings] = {}


class ContainerGraphDriver(Value, frozen=True, omit_defaults=False):
    """Where the container's layers are: LowerDir, MergedDir, UpperDir, WorkDir."""

    name: str = "overlay2"
    data: dict[str, str] = {}


class ContainerInspect(Value, frozen=True, omit_defaults=False):
    """GET /containers/{id}/json. The sizes are there when they were asked for."""

    id: str = field(name="Id")
    created: Moment
    path: str
    args: list[str]
    state: StateInspect
    image: str
    resolv_conf_path: str = ""
    hostname_path: str = ""
    hosts_path: str = ""
    log_path: str = ""
    name: str = ""
    restart_count: Int64 = 0
    driver: str = "overlay2"
    platform: str = "linux"
    mount_label: str = ""
    process_label: str = ""
    app_armor_profile: str = ""
    exec_ids: list[str] | None = field(name="ExecIDs", default=None)
    host_config: HostConfig = HostConfig()
    graph_driver: ContainerGraphDriver = ContainerGraphDriver()
    size_rw: Int64 | msgspec.UnsetType = msgspec.UNSET
    size_root_fs: Int64 | msgspec.UnsetType = msgspec.UNSET
    mounts: list[MountPoint] = []
    config: ContainerConfig = ContainerConfig()
    network_settings: NetworkSettings = NetworkSettings()


class Port(Value, frozen=True, kw_only=True):
    """One port of a summary; `public_port` 0 (left out) is exposed and not published."""

    ip: str = ""
    private_port: Int64
    public_port: Int64 = 0
    type: str = "tcp"


class SummaryHostConfig(Value, frozen=True, omit_defaults=False):
    network_mode: str = ""


class SummaryNetworks(Value, frozen=True, omit_defaults=False):
    networks: dict[str, EndpointSettings] = {}


class ContainerSummary(Value, frozen=True, omit_defaults=False):
    """A row of GET /containers/json. `status` is for people: "Up 3 seconds (healthy)"."""

    id: str = field(name="Id")
    names: list[str]
    image: str
    image_id: str = field(name="ImageID")
    command: str
    created: Int64
    """Seconds since 1970."""
    ports: list[Port] = []
    size_rw: Int64 | msgspec.UnsetType = msgspec.UNSET
    size_root_fs: Int64 | msgspec.UnsetType = msgspec.UNSET
    labels: dict[str, str] = {}
    state: ContainerState = "created"
    status: str = ""
    host_config: SummaryHostConfig = SummaryHostConfig()
    network_settings: SummaryNetworks = SummaryNetworks()
    mounts: list[MountPoint] = []


class WaitError(Value, frozen=True):
    message: str = ""


class WaitResult(Value, frozen=True, omit_defaults=False):
    """POST /containers/{id}/wait."""

    status_code: Int64 = 0
    error: WaitError | msgspec.UnsetType = msgspec.UNSET


class TopResult(Value, frozen=True, omit_defaults=False):
    """GET /containers/{id}/top: ps's columns and rows."""

    titles: list[str]
    processes: list[list[str]]


class ContainersPruned(Value, frozen=True, omit_defaults=False):
    containers_deleted: list[str] = []
    space_reclaimed: Int64 = 0


class ExecCreate(Strict, frozen=True, omit_defaults=False):
    """The body of POST /containers/{id}/exec."""

    user: str = ""
    privileged: bool = False
    tty: bool = field(name="Tty", default=False)
    console_size: list[Int64] | None = None
    attach_stdin: bool = False
    attach_stderr: bool = False
    attach_stdout: bool = False
    detach: bool = False
    detach_keys: str = ""
    env: list[str] = []
    working_dir: str = ""
    cmd: list[str] | str = []


class ExecStart(Strict, frozen=True):
    """The body of POST /exec/{id}/start. `console_size` is rows and columns."""

    detach: bool = False
    tty: bool = field(name="Tty", default=False)
    console_size: list[Int64] | None = None


class ExecProcess(msgspec.Struct, frozen=True, kw_only=True):
    """`ProcessConfig` of an inspected exec: the one place where the API's keys are small."""

    tty: bool = False
    entrypoint: str = ""
    arguments: list[str] = []
    privileged: bool = False
    user: str = ""


class ExecInspect(Value, frozen=True, omit_defaults=False):
    """GET /exec/{id}/json. `exit_code` is None while it runs."""

    id: str = field(name="ID")
    running: bool = False
    exit_code: Int64 | None = None
    process_config: ExecProcess = ExecProcess()
    open_stdin: bool = False
    open_stderr: bool = False
    open_stdout: bool = False
    can_remove: bool = False
    container_id: str = field(name="ContainerID", default="")
    detach_keys: str = ""
    pid: Int64 = field(name="Pid", default=0)


class CpuUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Nanoseconds. `percpu_usage` only on cgroup v1."""

    total_usage: Int64 = 0
    percpu_usage: list[Int64] | msgspec.UnsetType = msgspec.UNSET
    usage_in_kernelmode: Int64 = 0
    usage_in_usermode: Int64 = 0


class ThrottlingData(msgspec.Struct, frozen=True, kw_only=True):
    periods: Int64 = 0
    throttled_periods: Int64 = 0
    throttled_time: Int64 = 0


class CpuStats(msgspec.Struct, frozen=True, kw_only=True):
    """`system_cpu_usage`: nanoseconds that all the host's processors were in use for."""

    cpu_usage: CpuUsage = CpuUsage()
    system_cpu_usage: Int64 = 0
    online_cpus: Int64 = 0
    throttling_data: ThrottlingData = ThrottlingData()


class MemoryStats(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Bytes; `stats` is the kernel's memory.stat."""

    usage: Int64 = 0
    max_usage: Int64 = 0
    stats: dict[str, Int64] = {}
    failcnt: Int64 = 0
    limit: Int64 = 0


class BlkioEntry(msgspec.Struct, frozen=True, kw_only=True):
    major: Int64
    minor: Int64
    op: str
    value: Int64


class BlkioStats(msgspec.Struct, frozen=True, kw_only=True):
    io_service_bytes_recursive: list[BlkioEntry] = []
    io_serviced_recursive: list[BlkioEntry] = []


class PidsStats(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    current: Int64 = 0
    limit: Int64 = 0


class NetworkStats(msgspec.Struct, frozen=True, kw_only=True):
    rx_bytes: Int64 = 0
    rx_packets: Int64 = 0
    rx_errors: Int64 = 0
    rx_dropped: Int64 = 0
    tx_bytes: Int64 = 0
    tx_packets: Int64 = 0
    tx_errors: Int64 = 0
    tx_dropped: Int64 = 0


class ContainerStats(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of GET /containers/{id}/stats, with the one before it (`pre…`)."""

    name: str = ""
    id: str = ""
    read: Moment = ZERO_TIME
    preread: Moment = ZERO_TIME
    pids_stats: PidsStats = PidsStats()
    blkio_stats: BlkioStats = BlkioStats()
    num_procs: Int64 = 0
    cpu_stats: CpuStats = CpuStats()
    precpu_stats: CpuStats = CpuStats()
    memory_stats: MemoryStats = MemoryStats()
    networks: dict[str, NetworkStats] | msgspec.UnsetType = msgspec.UNSET
