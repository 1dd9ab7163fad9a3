"""How a container's process is started and looked after."""

from __future__ import annotations

from skep.kit.addresses import is_address
from skep.model.rules import Broken
from skep.model.service import HealthConfig

_SHORTEST_PROBE_NS = 1_000_000
_HEALTH_KINDS = ("NONE", "CMD", "CMD-SHELL")

_CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP"
    " LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER"
    " SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE"
    " SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP"
    " MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF"
    " CHECKPOINT_RESTORE"
)
CAPABILITIES = tuple(f"CAP_{name}" for name in _CAPABILITIES.split())
"""Index is the bit number of linux/capability.h."""
ALL_CAPABILITIES = "ALL"
HOST_GATEWAY = "host-gateway"


def check_variable(entry: str) -> None:
    """`NAME=value`, or `NAME` alone."""
    if not entry.partition("=")[0]:
        raise Broken("variable", f"invalid environment variable: {entry}", entry=entry)


def check_working_dir(path: str) -> None:
    """ "" is the image's."""
    if path and not path.startswith("/"):
        raise Broken(
            "working dir",
            f"the working directory '{path}' is invalid, it needs to be an absolute path",
        )


def capability(word: str) -> str:
    """`CAP_NET_ADMIN` for docker's ways to write it (with or without CAP_, any case), or `ALL`."""
    upper = word.upper()
    if upper in {ALL_CAPABILITIES, "CAP_ALL"}:
        return ALL_CAPABILITIES
    name = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if name not in CAPABILITIES:
        raise Broken("capability", f'invalid capability: "{word}"')
    return name


def check_health(health: HealthConfig) -> None:
    """Source: moby daemon/container.go, validateHealthCheck."""
    durations = {
        "Interval": health.interval,
        "Timeout": health.timeout,
        "Start Period": health.start_period,
        "Start Interval": health.start_interval,
    }
    for name, duration_ns in durations.items():
        if 0 < duration_ns < _SHORTEST_PROBE_NS:
            sentence = f"{name} in Healthcheck cannot be less than 1ms"
            raise Broken("probe time", sentence, name=name.replace(" ", ""))
    if health.test and health.test[0] not in _HEALTH_KINDS:
        kind = health.test[0]
        sentence = f"Unknown healthcheck type '{kind}': use CMD, CMD-SHELL or NONE"
        raise Broken("probe kind", sentence, kind=kind)


def check_host_entry(name: str, address: str) -> None:
    """A line of /etc/hosts that the caller adds; HOST_GATEWAY is the host's own address."""
    is_sound = address == HOST_GATEWAY or is_address(address)
    if not name or set(name) & set(":=") or not is_sound:
        raise Broken("hosts", f'invalid IP address in add-host: "{address}"')
