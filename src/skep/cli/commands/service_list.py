"""`skep service ls`."""

from __future__ import annotations

from typing import Any

from skep.cli.client.client import filters_query
from skep.cli.flags.command import NONE, Command
from skep.cli.flags.flag import Options, filters, switch
from skep.cli.session import Session
from skep.cli.show.listing import Field, Fields
from skep.cli.show.lists import list_format, show_list
from skep.cli.show.units import natural_key, short_id
from skep.cli.show.words import familiar_image, service_ports

_TABLE = "{{.ID}}\t{{.Name}}\t{{.Mode}}\t{{.Replicas}}\t{{.Image}}\t{{.Ports}}"

Service = dict[str, Any]


def mode_of(service: Service) -> str:
    """`replicated`, `global`, `replicated job` or `global job`."""
    mode = service["Spec"].get("Mode") or {}
    if "Global" in mode:
        return "global"
    if "ReplicatedJob" in mode:
        return "replicated job"
    return "global job" if "GlobalJob" in mode else "replicated"


def _replicas(service: Service) -> str:
    status = service.get("ServiceStatus") or {}
    running, desired = status.get("RunningTasks", 0), status.get("DesiredTasks", 0)
    done = status.get("CompletedTasks", 0)
    placement = (service["Spec"].get("TaskTemplate") or {}).get("Placement") or {}
    most = placement.get("MaxReplicas") or 0
    match mode_of(service):
        case "replicated job":
            total = service["Spec"]["Mode"]["ReplicatedJob"].get("TotalCompletions", 1)
            limit = f"; max {most} per node" if most else ""
            return f"{running}/{desired} ({done}/{total} completed{limit})"
        case "global job":
            return f"{running}/{desired} ({done}/{desired + done} completed)"
        case "replicated" if most:
            return f"{running}/{desired} (max {most} per node)"
    return f"{running}/{desired}"


def _image(service: Service) -> str:
    container = (service["Spec"].get("TaskTemplate") or {}).get("ContainerSpec") or {}
    return familiar_image(container.get("Image", ""))


def _ports(service: Service) -> str:
    return service_ports((service.get("Endpoint") or {}).get("Ports") or [])


FIELDS: Fields = {
    "ID": Field("ID", lambda service: short_id(service["ID"])),
    "Name": Field("NAME", lambda service: service["Spec"]["Name"]),
    "Mode": Field("MODE", mode_of),
    "Replicas": Field("REPLICAS", _replicas),
    "Image": Field("IMAGE", _image),
    "Ports": Field("PORTS", _ports),
}


def _ls(session: Session, options: Options, _: list[str]) -> None:
    query = {"filters": filters_query(options.items("filter")), "status": "true"}
    services = session.client.get("/services", query)
    services.sort(key=lambda service: natural_key(service["Spec"]["Name"]))
    show_list(session, options, FIELDS, services, table=_TABLE, setting="servicesFormat")


LS = Command(
    "",
    _ls,
    NONE,
    (filters(), list_format(), switch("-q --quiet", "Only display IDs")),
)
