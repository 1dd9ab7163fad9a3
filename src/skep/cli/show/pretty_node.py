"""`node inspect --pretty`: a node as lines. Pure."""

from __future__ import annotations

from typing import Any

from skep.cli.show.sections import Lines
from skep.cli.show.units import binary_size, go_time

Node = dict[str, Any]

_WIDE = 24
_NANO = 10**9


def pretty_node(node: Node) -> str:
    spec, description = node["Spec"], node.get("Description") or {}
    lines = Lines()
    _add(lines, "ID", node["ID"])
    if spec.get("Name"):
        _add(lines, "Name", spec["Name"])
    if spec.get("Labels"):
        lines.title("Labels")
        lines.plain(f" - {key}={value}" for key, value in sorted(spec["Labels"].items()))
    lines.add_padded("Hostname", description.get("Hostname", ""))
    lines.add_padded("Joined at", go_time(node["CreatedAt"]).lower())
    status = node["Status"]
    lines.title("Status")
    _add(lines, "State", status["State"].capitalize(), indent=1)
    if status.get("Message"):
        _add(lines, "Message", status["Message"].capitalize(), indent=1)
    lines.add_padded("Availability", spec["Availability"].capitalize(), indent=1)
    if status.get("Addr"):
        _add(lines, "Address", status["Addr"], indent=1)
    _manager(lines, node.get("ManagerStatus"))
    _platform(lines, description)
    _engine(lines, description.get("Engine") or {})
    _identity(lines, description.get("TLSInfo") or {})
    return lines.text().rstrip("\n")


def _add(lines: Lines, label: str, value: object, *, indent: int = 0) -> None:
    lines.add(label, value, indent=indent, column=_WIDE)


def _manager(lines: Lines, manager: dict[str, Any] | None) -> None:
    if manager:
        lines.title("Manager Status")
        _add(lines, "Address", manager.get("Addr", ""), indent=1)
        _add(lines, "Raft Status", manager.get("Reachability", "").capitalize(), indent=1)
        _add(lines, "Leader", "Yes" if manager.get("Leader") else "No", indent=1)


def _platform(lines: Lines, description: dict[str, Any]) -> None:
    platform, resources = description.get("Platform") or {}, description.get("Resources") or {}
    lines.title("Platform")
    _add(lines, "Operating System", platform.get("OS", ""), indent=1)
    _add(lines, "Architecture", platform.get("Architecture", ""), indent=1)
    lines.title("Resources")
    _add(lines, "CPUs", resources.get("NanoCPUs", 0) // _NANO, indent=1)
    _add(lines, "Memory", binary_size(resources.get("MemoryBytes", 0)), indent=1)


def _engine(lines: Lines, engine: dict[str, Any]) -> None:
    plugins: dict[str, list[str]] = {}
    for plugin in engine.get("Plugins") or []:
        plugins.setdefault(plugin["Type"], []).append(plugin["Name"])
    if plugins:
        lines.title("Plugins")
        # docker sets two tabs behind each of these, whatever its length.
        for kind, column in (("Log", 16), ("Network", 24), ("Volume", 24)):
            if kind in plugins:
                lines.add(kind, ", ".join(plugins[kind]), indent=1, column=column)
    _add(lines, "Engine Version", engine.get("EngineVersion", ""))
    if engine.get("Labels"):
        lines.title("Engine Labels")
        lines.plain(f" - {key}={value}" for key, value in sorted(engine["Labels"].items()))


def _identity(lines: Lines, tls: dict[str, Any]) -> None:
    if tls.get("TrustRoot"):
        lines.title("TLS Info")
        lines.title("TrustRoot", indent=1)
        lines.plain([tls["TrustRoot"].rstrip("\n"), ""])
        _add(lines, "Issuer Subject", tls.get("CertIssuerSubject", ""), indent=1)
        _add(lines, "Issuer Public Key", tls.get("CertIssuerPublicKey", ""), indent=1)
