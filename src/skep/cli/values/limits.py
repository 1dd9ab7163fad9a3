"""Ulimits, devices, restart policies, hosts, health checks: what run and service share or not."""

from __future__ import annotations

import ipaddress
from typing import Any

from skep.cli.flags.kinds import read_int
from skep.cli.values.size import parse_bytes

_ULIMITS = frozenset(
    (
        "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
        "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
    )
)  # fmt: skip
_DEVICE_MODES = frozenset("rwm")
_HOST_GATEWAY = "host-gateway"


def parse_ulimit(text: str) -> dict[str, Any]:
    """`nofile=1024[:2048]` as the API's Ulimit."""
    name, equals, rest = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}: write name=soft[:hard]")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    soft_text, colon, hard_text = rest.partition(":")
    soft = read_int(soft_text)
    hard = read_int(hard_text) if colon else soft
    if hard != -1 and (soft > hard or soft == -1):
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {rest}")
    return {"Name": name, "Soft": soft, "Hard": hard}


def parse_device(text: str) -> dict[str, str]:
    """`/dev/x[:/dev/y][:rwm]` as the API's DeviceMapping."""
    parts = text.split(":")
    mode = "rwm"
    if len(parts) > 1 and _is_device_mode(parts[-1]):
        mode = parts.pop()
    if not 1 <= len(parts) <= 2 or not parts[0]:
        raise ValueError(f"invalid device specification: {text}")
    return {
        "PathOnHost": parts[0],
        "PathInContainer": parts[-1] or parts[0],
        "CgroupPermissions": mode,
    }


def _is_device_mode(text: str) -> bool:
    return bool(text) and set(text) <= _DEVICE_MODES and len(set(text)) == len(text)


def parse_device_rate(text: str) -> dict[str, Any]:
    """`/dev/sda:1mb`: a limit in bytes per second."""
    path, value = _device_pair(text, "/dev/sda:1mb")
    return {"Path": path, "Rate": parse_bytes(value)}


def parse_device_iops(text: str) -> dict[str, Any]:
    """`/dev/sda:1000`: a limit in operations per second."""
    path, value = _device_pair(text, "/dev/sda:1000")
    return {"Path": path, "Rate": read_int(value)}


def parse_device_weight(text: str) -> dict[str, Any]:
    path, value = _device_pair(text, "/dev/sda:200")
    weight = read_int(value)
    if weight and not 10 <= weight <= 1000:
        raise ValueError(f"invalid weight for device: {text}: from 10 to 1000")
    return {"Path": path, "Weight": weight}


def _device_pair(text: str, example: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not colon or not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {text}: write it as in {example}")
    return path, value


def parse_restart(text: str) -> dict[str, Any]:
    """`no`, `always`, `unless-stopped`, `on-failure[:3]` as the API's RestartPolicy."""
    name, colon, count = text.partition(":")
    if not colon:
        return {"Name": name, "MaximumRetryCount": 0}
    if not name:
        raise ValueError("invalid restart policy format: no policy provided before colon")
    if not count.isdecimal():
        raise ValueError(
            "invalid restart policy format: maximum retry count must be an integer: "
            "write on-failure:3"
        )
    return {"Name": name, "MaximumRetryCount": int(count)}


def parse_extra_host(text: str) -> str:
    """`name:address` (or `name=address`) in the first form, the address checked."""
    name, separator, address = text.partition("=")
    if not separator:
        name, separator, address = text.partition(":")
    if not separator or not name:
        raise ValueError(f'bad format for add-host: "{text}": write name:address')
    if address != _HOST_GATEWAY:
        address = address.removeprefix("[").removesuffix("]")
        if not _is_address(address):
            raise ValueError(f'invalid IP address in add-host: "{address}"')
    return f"{name}:{address}"


def check_address(text: str) -> str:
    """A reader for flags that take an IP address."""
    if not _is_address(text):
        raise ValueError(f"IP address is not correctly formatted: {text}")
    return text


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check_dns_search(text: str) -> str:
    """A reader for --dns-search: a domain, or a lone dot for none."""
    name = text.strip()
    if name != "." and (
        not name or any(not part or len(part) > 63 for part in name.rstrip(".").split("."))
    ):
        raise ValueError(f"{text} is not a valid domain")
    return name


def log_config(driver: str, options: dict[str, str]) -> dict[str, Any]:
    """LogConfig of a container."""
    if driver == "none" and options:
        raise ValueError(f"invalid logging opts for driver {driver}")
    return {"Type": driver, "Config": options}


def health(
    *,
    command: str,
    interval_ns: int,
    timeout_ns: int,
    start_period_ns: int,
    start_interval_ns: int,
    retries: int,
) -> dict[str, Any] | None:
    """A health check of the parts that were given; None when none was."""
    check = {
        "Test": ["CMD-SHELL", command] if command else None,
        "Interval": interval_ns,
        "Timeout": timeout_ns,
        "StartPeriod": start_period_ns,
        "StartInterval": start_interval_ns,
        "Retries": retries,
    }
    for name, number in (
        ("interval", interval_ns),
        ("timeout", timeout_ns),
        ("start-period", start_period_ns),
        ("start-interval", start_interval_ns),
        ("retries", retries),
    ):
        if number < 0:
            raise ValueError(f"--health-{name} cannot be negative")
    return {key: value for key, value in check.items() if value} or None
