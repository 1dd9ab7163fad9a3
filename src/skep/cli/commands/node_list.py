"""`skep node ls`."""

from __future__ import annotations

from typing import Any, NamedTuple

from skep.cli.client.client import filters_query
from skep.cli.flags.command import NONE, Command
from skep.cli.flags.flag import Options, filters, switch
from skep.cli.session import Session
from skep.cli.show.listing import Field, Fields
from skep.cli.show.lists import list_format, show_list
from skep.cli.show.units import natural_key

_TABLE = (
    "{{.ID}} {{if .Self}}*{{else}} {{end}}\t{{.Hostname}}\t{{.Status}}\t{{.Availability}}"
    "\t{{.ManagerStatus}}\t{{.EngineVersion}}"
)


class Row(NamedTuple):
    """A node, and what the daemon says of itself and of the cluster's root."""

    node: dict[str, Any]
    own_id: str
    root: dict[str, Any]
    rotating: bool = False


def _manager_status(row: Row) -> str:
    manager = row.node.get("ManagerStatus")
    if not manager:
        return ""
    return "Leader" if manager.get("Leader") else str(manager.get("Reachability", "")).capitalize()


def _tls_status(row: Row) -> str:
    tls = (row.node.get("Description") or {}).get("TLSInfo") or {}
    if not row.root or not tls.get("TrustRoot"):
        return "Unknown"
    if not row.rotating and tls.get("CertIssuerSubject") == row.root.get("CertIssuerSubject"):
        return "Ready"
    return "Needs Rotation" if tls != row.root else "Ready"


def _self(row: Row) -> bool:
    return bool(row.node["ID"] == row.own_id)


FIELDS: Fields = {
    "ID": Field("ID", lambda row: row.node["ID"]),
    "Self": Field("", _self),
    "Hostname": Field("HOSTNAME", lambda row: row.node["Description"].get("Hostname", "")),
    "Status": Field("STATUS", lambda row: row.node["Status"]["State"].capitalize()),
    "Availability": Field(
        "AVAILABILITY", lambda row: row.node["Spec"]["Availability"].capitalize()
    ),
    "ManagerStatus": Field("MANAGER STATUS", _manager_status),
    "EngineVersion": Field(
        "ENGINE VERSION",
        lambda row: (row.node["Description"].get("Engine") or {}).get("EngineVersion", ""),
    ),
    "TLSStatus": Field("TLS STATUS", _tls_status),
}


def _ls(session: Session, options: Options, _: list[str]) -> None:
    nodes = session.client.get("/nodes", {"filters": filters_query(options.items("filter"))})
    swarm: dict[str, Any] = {}
    if nodes and not options.yes("quiet"):
        swarm = session.client.get("/info").get("Swarm") or {}
    own_id, cluster = swarm.get("NodeID", ""), swarm.get("Cluster") or {}
    nodes.sort(key=lambda node: natural_key(node["Description"].get("Hostname", "")))
    rotating = bool(cluster.get("RootRotationInProgress"))
    rows = [Row(node, own_id, cluster.get("TLSInfo") or {}, rotating) for node in nodes]
    show_list(session, options, FIELDS, rows, table=_TABLE, setting="nodesFormat")


LS = Command("", _ls, NONE, (filters(), list_format(), switch("-q --quiet", "Only display IDs")))
