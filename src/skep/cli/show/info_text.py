"""`skep info` as lines: what GET /info answers, in docker's order. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from skep.cli.show.units import binary_size, human_duration

Info = dict[str, Any]
Line = tuple[int, str, object]
"""How deep it is, the label, the value; None where there is none."""


def info_text(info: Info) -> str:
    """Lines without a value are left out, but for those that are titles."""
    lines = [
        *_counts(info),
        *_drivers(info),
        *_swarm(info.get("Swarm") or {}),
        *_programs(info),
        *_security(info),
        *_machine(info),
    ]
    return "".join(_line(*line) for line in lines)


def _line(depth: int, label: str, value: object) -> str:
    head = " " * (depth + 1) + label
    if value is None:
        return head + "\n"
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return f"{head}: {shown}\n"


def _counts(info: Info) -> Iterable[Line]:
    yield 0, "Containers", info.get("Containers", 0)
    yield 1, "Running", info.get("ContainersRunning", 0)
    yield 1, "Paused", info.get("ContainersPaused", 0)
    yield 1, "Stopped", info.get("ContainersStopped", 0)
    yield 0, "Images", info.get("Images", 0)
    yield from _known(info, "Server Version", "ServerVersion")


def _drivers(info: Info) -> Iterable[Line]:
    yield from _known(info, "Storage Driver", "Driver")
    yield from ((1, name, value) for name, value in info.get("DriverStatus") or [])
    yield from _known(info, "Logging Driver", "LoggingDriver")
    yield from _known(info, "Cgroup Driver", "CgroupDriver")
    yield from _known(info, "Cgroup Version", "CgroupVersion")
    plugins = info.get("Plugins") or {}
    yield 0, "Plugins:", None
    for kind in ("Volume", "Network", "Authorization", "Log"):
        if plugins.get(kind):
            yield 1, kind, " ".join(plugins[kind])


def _swarm(swarm: Info) -> Iterable[Line]:
    state = swarm.get("LocalNodeState") or "inactive"
    yield 0, "Swarm", state
    if state in {"inactive", "locked"}:
        return
    yield 1, "NodeID", swarm.get("NodeID", "")
    if swarm.get("Error"):
        yield 1, "Error", swarm["Error"]
    yield 1, "Is Manager", bool(swarm.get("ControlAvailable"))
    cluster = swarm.get("Cluster") or {}
    if swarm.get("ControlAvailable") and cluster and not swarm.get("Error"):
        yield from _cluster(swarm, cluster)
    yield 1, "Node Address", swarm.get("NodeAddr", "")
    managers = sorted(each["Addr"] for each in swarm.get("RemoteManagers") or [])
    if managers:
        yield 1, "Manager Addresses:", None
        yield from ((2, address, None) for address in managers)


def _cluster(swarm: Info, cluster: Info) -> Iterable[Line]:
    spec = cluster.get("Spec") or {}
    raft, authority = spec.get("Raft") or {}, spec.get("CAConfig") or {}
    yield 1, "ClusterID", cluster.get("ID", "")
    yield 1, "Managers", swarm.get("Managers", 0)
    yield 1, "Nodes", swarm.get("Nodes", 0)
    if cluster.get("DefaultAddrPool"):
        yield 1, "Default Address Pool", "  ".join(cluster["DefaultAddrPool"]) + "  "
        yield 1, "SubnetSize", cluster.get("SubnetSize", 0)
    yield 1, "Data Path Port", cluster.get("DataPathPort", 0)
    yield 1, "Orchestration:", None
    history = (spec.get("Orchestration") or {}).get("TaskHistoryRetentionLimit") or 0
    yield 2, "Task History Retention Limit", history
    yield 1, "Raft:", None
    yield 2, "Snapshot Interval", raft.get("SnapshotInterval", 0)
    if raft.get("KeepOldSnapshots") is not None:
        yield 2, "Number of Old Snapshots to Retain", raft["KeepOldSnapshots"]
    yield 2, "Heartbeat Tick", raft.get("HeartbeatTick", 0)
    yield 2, "Election Tick", raft.get("ElectionTick", 0)
    yield 1, "Dispatcher:", None
    heartbeat = (spec.get("Dispatcher") or {}).get("HeartbeatPeriod") or 0
    yield 2, "Heartbeat Period", human_duration(heartbeat / 1e9)
    yield 1, "CA Configuration:", None
    yield 2, "Expiry Duration", human_duration((authority.get("NodeCertExpiry") or 0) / 1e9)
    yield 2, "Force Rotate", authority.get("ForceRotate") or 0
    if authority.get("SigningCACert"):
        yield 2, "Signing CA Certificate", "\n" + authority["SigningCACert"].strip()
    if authority.get("ExternalCAs"):
        yield 2, "External CAs:", None
        for each in authority["ExternalCAs"]:
            yield 3, f"{each.get('Protocol', 'cfssl')}", each.get("URL", "")
    locked = (spec.get("EncryptionConfig") or {}).get("AutoLockManagers")
    yield 1, "Autolock Managers", bool(locked)
    yield 1, "Root Rotation In Progress", bool(cluster.get("RootRotationInProgress"))


def _programs(info: Info) -> Iterable[Line]:
    if info.get("Runtimes"):
        yield 0, "Runtimes", " ".join(info["Runtimes"])
    yield from _known(info, "Default Runtime", "DefaultRuntime")
    yield from _known(info, "Init Binary", "InitBinary")
    for label, key in (
        ("containerd version", "ContainerdCommit"),
        ("runc version", "RuncCommit"),
        ("init version", "InitCommit"),
    ):
        if (info.get(key) or {}).get("ID"):
            yield 0, label, info[key]["ID"]


def _security(info: Info) -> Iterable[Line]:
    options = info.get("SecurityOptions") or []
    if not options:
        return
    yield 0, "Security Options:", None
    for option in options:
        fields = [field.partition("=") for field in option.split(",")]
        yield 1, next((value for key, _, value in fields if key == "name"), option), None
        for key, _, value in fields:
            if key != "name":
                yield 2, key.capitalize(), "default" if value == "builtin" else value


def _machine(info: Info) -> Iterable[Line]:
    for label, key in (
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
        ("CPUs", "NCPU"),
    ):
        yield from _known(info, label, key)
    if info.get("MemTotal"):
        yield 0, "Total Memory", binary_size(info["MemTotal"])
    yield from _known(info, "Name", "Name")
    yield from _known(info, "ID", "ID")
    yield from _known(info, "Docker Root Dir", "DockerRootDir")
    yield 0, "Debug Mode", bool(info.get("Debug"))
    for label, key in (
        ("HTTP Proxy", "HttpProxy"),
        ("HTTPS Proxy", "HttpsProxy"),
        ("No Proxy", "NoProxy"),
        ("Username", "Username"),
    ):
        yield from _known(info, label, key)
    if info.get("Labels"):
        yield 0, "Labels:", None
        yield from ((1, label, None) for label in info["Labels"])
    yield 0, "Experimental", bool(info.get("ExperimentalBuild"))
    registries = info.get("RegistryConfig") or {}
    insecure = [
        name
        for name, index in sorted((registries.get("IndexConfigs") or {}).items())
        if not index.get("Secure")
    ]
    insecure += registries.get("InsecureRegistryCIDRs") or []
    if insecure:
        yield 0, "Insecure Registries:", None
        yield from ((1, name, None) for name in insecure)
    yield 0, "Live Restore Enabled", bool(info.get("LiveRestoreEnabled"))


def _known(info: Info, label: str, key: str) -> Iterable[Line]:
    if info.get(key):
        yield 0, label, info[key]
