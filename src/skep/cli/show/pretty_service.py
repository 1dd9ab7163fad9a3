"""`service inspect --pretty`: a service as lines. Pure."""

from __future__ import annotations

from typing import Any

from skep.cli.show.sections import Lines
from skep.cli.show.units import binary_size, go_duration, human_duration, seconds_since
from skep.cli.values.placement import preference_text

Service = dict[str, Any]

_VALUE = 16
_NANO = 1e9


def pretty_service(service: Service, networks: dict[str, str], now: Any) -> str:
    """`networks` are names by id; `now` is when this is read (for `Started … ago`)."""
    spec = service["Spec"]
    task = spec.get("TaskTemplate") or {}
    container = task.get("ContainerSpec") or {}
    lines = Lines()
    lines.add("ID", service["ID"])
    lines.add("Name", spec["Name"])
    _labels(lines, "Labels", spec.get("Labels"))
    _mode(lines, spec.get("Mode") or {})
    _update_status(lines, service.get("UpdateStatus") or {}, now)
    _placement(lines, task.get("Placement") or {})
    _rollout(lines, "UpdateConfig", "Update order", spec.get("UpdateConfig"))
    _rollout(lines, "RollbackConfig", "Rollback order", spec.get("RollbackConfig"))
    _container(lines, container)
    _files(lines, "Configs", container.get("Configs"), "Config")
    _files(lines, "Secrets", container.get("Secrets"), "Secret")
    _log_driver(lines, task.get("LogDriver") or {})
    _resources(lines, task.get("Resources") or {})
    attached = task.get("Networks") or spec.get("Networks") or []
    if attached:
        names = [networks.get(each["Target"], each["Target"]) for each in attached]
        lines.add("Networks", " ".join(names), column=10)
    endpoint = service.get("Endpoint") or {}
    lines.add("Endpoint Mode", (endpoint.get("Spec") or {}).get("Mode", "vip"))
    _ports(lines, endpoint.get("Ports") or [])
    _health(lines, container.get("Healthcheck") or {})
    return lines.text()


def _labels(lines: Lines, title: str, labels: dict[str, str] | None) -> None:
    if labels:
        lines.title(title)
        lines.plain(f" {key}={value}" for key, value in sorted(labels.items()))


def _mode(lines: Lines, mode: dict[str, Any]) -> None:
    if "Global" in mode:
        lines.add("Service Mode", "Global")
    elif "GlobalJob" in mode:
        lines.add("Service Mode", "GlobalJob")
    elif "ReplicatedJob" in mode:
        job = mode["ReplicatedJob"]
        lines.add("Service Mode", "ReplicatedJob")
        lines.add("Max Concurrent", job.get("MaxConcurrent", 1), indent=1, column=_VALUE + 1)
        lines.add("Total Completions", job.get("TotalCompletions", 1), indent=1)
    else:
        lines.add("Service Mode", "Replicated")
        replicas = (mode.get("Replicated") or {}).get("Replicas")
        if replicas is not None:
            lines.add("Replicas", replicas, indent=1)


def _update_status(lines: Lines, status: dict[str, Any], now: Any) -> None:
    if not status.get("State"):
        return
    lines.title("UpdateStatus")
    lines.add("State", status["State"], indent=1)
    for label, key in (("Started", "StartedAt"), ("Completed", "CompletedAt")):
        if status.get(key):
            ago = human_duration(seconds_since(status[key], now)).lower()
            lines.add(label, f"{ago} ago", indent=1)
    lines.add("Message", status.get("Message", ""), indent=1)


def _placement(lines: Lines, placement: dict[str, Any]) -> None:
    lines.title("Placement")
    if placement.get("Constraints"):
        lines.add("Constraints", f"[{' '.join(placement['Constraints'])}]", indent=1)
    if placement.get("Preferences"):
        shown = [preference_text(each) for each in placement["Preferences"]]
        lines.add("Preferences", f"[{' '.join(shown)}]", indent=1)
    if placement.get("MaxReplicas"):
        lines.add("Max Replicas Per Node", placement["MaxReplicas"], indent=1)


def _rollout(lines: Lines, title: str, order: str, config: dict[str, Any] | None) -> None:
    if not config:
        return
    column = 20
    lines.title(title)
    lines.add("Parallelism", config.get("Parallelism", 0), indent=1)
    if config.get("Delay"):
        lines.add("Delay", go_duration(config["Delay"]), indent=1)
    lines.add("On failure", config.get("FailureAction", "pause"), indent=1)
    if config.get("Monitor"):
        lines.add("Monitoring Period", go_duration(config["Monitor"]), indent=1, column=column)
    ratio = f"{float(config.get('MaxFailureRatio') or 0):g}"
    lines.add("Max failure ratio", ratio, indent=1, column=column)
    lines.add(order, config.get("Order", "stop-first"), indent=1, column=column)


def _container(lines: Lines, container: dict[str, Any]) -> None:
    lines.title("ContainerSpec")
    rows = (
        ("Image", container.get("Image")),
        ("Command", " ".join(container.get("Command") or [])),
        ("Args", " ".join(container.get("Args") or [])),
        ("Env", " ".join(container.get("Env") or [])),
        ("Dir", container.get("Dir")),
        ("Hostname", container.get("Hostname")),
        ("User", container.get("User")),
    )
    for label, value in rows:
        if value:
            trailing = " " if label in {"Command", "Args", "Env"} else ""
            lines.add(label, f"{value}{trailing}", indent=1)
    for label, key in (("Capabilities", "CapabilityAdd"), ("Dropped", "CapabilityDrop")):
        if container.get(key):
            lines.add(label, ", ".join(container[key]), indent=1)
    if container.get("Init") is not None:
        lines.add("Init", "true" if container["Init"] else "false", indent=1)
    if container.get("Sysctls"):
        lines.title("Sysctls")
        lines.plain(f" {key}: {value}" for key, value in sorted(container["Sysctls"].items()))
    for ulimit in container.get("Ulimits") or []:
        lines.add(f"Ulimit {ulimit['Name']}", f"{ulimit['Soft']}:{ulimit['Hard']}", indent=1)
    _mounts(lines, container.get("Mounts") or [])
    _labels(lines, "Container Labels", container.get("Labels"))


def _mounts(lines: Lines, mounts: list[dict[str, Any]]) -> None:
    if not mounts:
        return
    lines.title("Mounts")
    for mount in mounts:
        lines.add("Target", mount.get("Target", ""), indent=1, column=10)
        lines.add("Source", mount.get("Source", ""), indent=2, column=11)
        read_only = "true" if mount.get("ReadOnly") else "false"
        lines.add("ReadOnly", read_only, indent=2, column=12)
        lines.add("Type", mount.get("Type", ""), indent=2, column=12)


def _files(lines: Lines, title: str, files: list[dict[str, Any]] | None, kind: str) -> None:
    if files:
        lines.title(title)
        for each in files:
            target = (each.get("File") or {}).get("Name", "")
            lines.add("Target", target, indent=1)
            lines.add("Source", each.get(f"{kind}Name", ""), indent=2)


def _log_driver(lines: Lines, driver: dict[str, Any]) -> None:
    if driver.get("Name"):
        lines.title("Log Driver")
        lines.add("Name", driver["Name"], indent=1)
        options = driver.get("Options") or {}
        if options:
            lines.title("LogOpts", indent=1)
            lines.plain(f"  {key}: {value}" for key, value in sorted(options.items()))


def _resources(lines: Lines, resources: dict[str, Any]) -> None:
    lines.title("Resources")
    for title, key in (("Reservations", "Reservations"), ("Limits", "Limits")):
        part = resources.get(key) or {}
        if not part:
            continue
        lines.title(title, indent=1)
        if part.get("NanoCPUs"):
            lines.add("CPU", f"{part['NanoCPUs'] / _NANO:g}", indent=2)
        if part.get("MemoryBytes"):
            lines.add("Memory", binary_size(part["MemoryBytes"]), indent=2)
        if part.get("Pids"):
            lines.add("PIDs", part["Pids"], indent=2)


def _ports(lines: Lines, ports: list[dict[str, Any]]) -> None:
    if not ports:
        return
    lines.title("Ports")
    for port in ports:
        lines.plain(
            (
                f" PublishedPort = {port.get('PublishedPort', 0)}",
                f"  Protocol = {port.get('Protocol', 'tcp')}",
                f"  TargetPort = {port['TargetPort']}",
                f"  PublishMode = {port.get('PublishMode', 'ingress')} ",
            )
        )


def _health(lines: Lines, check: dict[str, Any]) -> None:
    if not check.get("Test"):
        return
    lines.title("Healthcheck")
    for label, key in (
        ("Interval", "Interval"),
        ("Timeout", "Timeout"),
        ("StartPeriod", "StartPeriod"),
        ("StartInterval", "StartInterval"),
    ):
        if check.get(key):
            lines.add(label, go_duration(check[key]), indent=1)
    if check.get("Retries"):
        lines.add("Retries", check["Retries"], indent=1)
    lines.add("Tests", " ".join(check["Test"]), indent=1)
