"""`skep network ls`."""

from __future__ import annotations

from typing import Any, NamedTuple

from skep.cli.client.client import filters_query
from skep.cli.flags.command import NONE, Command
from skep.cli.flags.flag import Options, filters, switch
from skep.cli.session import Session
from skep.cli.show.listing import Field, Fields
from skep.cli.show.lists import list_format, show_list
from skep.cli.show.units import go_time, natural_key, short_id
from skep.cli.show.words import label_header, label_of, labels_text

_TABLE = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}"


class Row(NamedTuple):
    network: dict[str, Any]
    truncate: bool = True


def _id(row: Row) -> str:
    full = str(row.network["Id"])
    return short_id(full) if row.truncate else full


def _truth(key: str) -> Field:
    return Field(key.upper(), lambda row: "true" if row.network.get(key) else "false")


def _labels(row: Row) -> dict[str, str] | None:
    labels: dict[str, str] | None = row.network.get("Labels")
    return labels


FIELDS: Fields = {
    "ID": Field("NETWORK ID", _id),
    "Name": Field("NAME", lambda row: row.network["Name"]),
    "Driver": Field("DRIVER", lambda row: row.network["Driver"]),
    "Scope": Field("SCOPE", lambda row: row.network["Scope"]),
    "IPv4": _truth("EnableIPv4")._replace(header="IPV4"),
    "IPv6": _truth("EnableIPv6")._replace(header="IPV6"),
    "Internal": _truth("Internal"),
    "Labels": Field("LABELS", lambda row: labels_text(_labels(row))),
    "Label": Field(label_header, label_of(_labels)),
    "CreatedAt": Field("CREATED AT", lambda row: go_time(row.network["Created"])),
}


def _ls(session: Session, options: Options, _: list[str]) -> None:
    networks = session.client.get("/networks", {"filters": filters_query(options.items("filter"))})
    networks.sort(key=lambda network: natural_key(network["Name"]))
    rows = [Row(network, not options.yes("no-trunc")) for network in networks]
    show_list(session, options, FIELDS, rows, table=_TABLE, setting="networksFormat")


LS = Command(
    "",
    _ls,
    NONE,
    (
        filters(),
        list_format(),
        switch("--no-trunc", "Do not truncate the output"),
        switch("-q --quiet", "Only display network IDs"),
    ),
)
