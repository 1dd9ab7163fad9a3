"""What swarm init, update and ca share: the cluster's own settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skep.cli.errors import Failure
from skep.cli.flags.flag import Flag, Options, text, texts, value
from skep.cli.flags.kinds import INT, POSITIVE_DURATION, UINT
from skep.cli.values.pairs import csv_pairs

_PEM_BEGINS = "-----BEGIN "
_HOUR_NS = 3600 * 10**9
CERT_EXPIRY_NS = 90 * 24 * _HOUR_NS
HEARTBEAT_NS = 5 * 10**9
_AVAILABILITIES = ("active", "pause", "drain")

CERT_EXPIRY = value(
    "--cert-expiry",
    POSITIVE_DURATION,
    "Validity period for node certificates (ns|us|ms|s|m|h)",
    default=CERT_EXPIRY_NS,
    shown="2160h0m0s",
)


def parse_external_ca(text: str) -> dict[str, Any]:
    """`protocol=cfssl,url=https://…[,cacert=FILE][,option=value]` as an ExternalCA."""
    found: dict[str, Any] = {"Options": {}}
    for key, setting in csv_pairs(text):
        match key:
            case "protocol" if setting.lower() == "cfssl":
                found["Protocol"] = "cfssl"
            case "protocol":
                raise ValueError(f"unrecognized external CA protocol {setting}: use cfssl")
            case "url":
                found["URL"] = setting
            case "cacert":
                found["CACert"] = read_pem(setting)
            case _:
                found["Options"][key] = setting
    if "Protocol" not in found:
        raise ValueError("the external-ca option needs a protocol= parameter")
    if "URL" not in found:
        raise ValueError("the external-ca option needs a url= parameter")
    return found


def read_pem(path: str) -> str:
    """The content of a PEM file: with another one nothing would be asked for, and a root that the
    cluster makes itself would be taken for the one that was brought."""
    try:
        content = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    if _PEM_BEGINS not in content:
        raise ValueError(f"{path}: file contents must be in PEM format")
    return content


EXTERNAL_CA = texts(
    "--external-ca",
    "Specifications of one or more certificate signing endpoints",
    parse_external_ca,
    "external-ca",
)
SETTINGS: tuple[Flag, ...] = (
    CERT_EXPIRY,
    EXTERNAL_CA,
    value(
        "--dispatcher-heartbeat",
        POSITIVE_DURATION,
        "Dispatcher heartbeat period (ns|us|ms|s|m|h)",
        default=HEARTBEAT_NS,
        shown="5s",
    ),
    value("--max-snapshots", UINT, "Number of additional Raft snapshots to retain", default=0),
    value(
        "--snapshot-interval",
        UINT,
        "Number of log entries between Raft snapshots",
        default=10000,
        shown="10000",
    ),
    value("--task-history-limit", INT, "Task history retention limit", default=5, shown="5"),
)
ADVERTISE = text("--advertise-addr", 'Advertised address (format: "<ip|interface>[:port]")')
LISTEN = text(
    "--listen-addr",
    'Listen address (format: "<ip|interface>[:port]")',
    default="0.0.0.0:2377",
)
DATA_PATH = text(
    "--data-path-addr", 'Address or interface for data path traffic (format: "<ip|interface>")'
)
AVAILABILITY = text(
    "--availability",
    'Availability of the node ("active", "pause", "drain")',
    default="active",
)
_DEFAULT_PORT = 2377


def change_settings(spec: dict[str, Any], options: Options) -> None:
    """Write the given SETTINGS into a cluster Spec."""
    fields = (
        ("cert-expiry", "CAConfig", "NodeCertExpiry"),
        ("external-ca", "CAConfig", "ExternalCAs"),
        ("dispatcher-heartbeat", "Dispatcher", "HeartbeatPeriod"),
        ("max-snapshots", "Raft", "KeepOldSnapshots"),
        ("snapshot-interval", "Raft", "SnapshotInterval"),
        ("task-history-limit", "Orchestration", "TaskHistoryRetentionLimit"),
    )
    for flag, part, field in fields:
        if options.has(flag) and options.given(flag):
            spec[part] = {**(spec.get(part) or {}), field: options.value(flag)}


def availability(options: Options) -> str | None:
    if not options.given("availability"):
        return None
    word = options.text("availability").lower()
    if word not in _AVAILABILITIES:
        raise Failure(
            f'invalid availability "{options.text("availability")}", only active, pause and '
            "drain are supported"
        )
    return word


def listen_address(text: str) -> str:
    """An address with a port, the swarm's own where none is given."""
    host, colon, port = text.rpartition(":")
    if colon and port.isdecimal():
        return f"{host or '0.0.0.0'}:{port}"
    return f"{text}:{_DEFAULT_PORT}"
