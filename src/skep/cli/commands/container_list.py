"""`skep ps`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from skep.cli.client.client import filters_query
from skep.cli.flags.command import NONE, Command
from skep.cli.flags.flag import Options, filters, number, switch
from skep.cli.session import Session
from skep.cli.show.listing import Field, Fields
from skep.cli.show.lists import list_format, show_list
from skep.cli.show.units import (
    ellipsis,
    go_unix_time,
    human_duration,
    human_size,
    short_id,
)
from skep.cli.show.words import (
    container_ports,
    familiar_image,
    label_header,
    label_of,
    labels_text,
    quoted,
)

_COMMAND_WIDTH = 20
_MOUNT_WIDTH = 15
_TABLE = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"


class Row(NamedTuple):
    """One container of GET /containers/json, and how it shall be shown."""

    container: dict[str, Any]
    now: datetime
    truncate: bool = True


def _id(row: Row) -> str:
    full = str(row.container["Id"])
    return short_id(full) if row.truncate else full


def _names(row: Row) -> str:
    names = [name.removeprefix("/") for name in row.container.get("Names") or []]
    if row.truncate:
        # A name with a slash in it belongs to another container's link.
        names = [name for name in names if "/" not in name]
    return ",".join(names)


def _image(row: Row) -> str:
    image = str(row.container.get("Image") or "<no image>")
    if not row.truncate:
        return image
    if short_id(str(row.container.get("ImageID", ""))) == short_id(image):
        return short_id(image)
    return familiar_image(image)


def _command(row: Row) -> str:
    command = str(row.container.get("Command", ""))
    return quoted(ellipsis(command, _COMMAND_WIDTH) if row.truncate else command)


def _running_for(row: Row) -> str:
    return f"{human_duration(row.now.timestamp() - row.container['Created'])} ago"


def _size(row: Row) -> str:
    shown = human_size(row.container.get("SizeRw", 0), 3)
    whole = row.container.get("SizeRootFs", 0)
    return f"{shown} (virtual {human_size(whole, 3)})" if whole > 0 else shown


def _mounts(row: Row) -> str:
    names = [mount.get("Name") or mount["Source"] for mount in row.container.get("Mounts") or []]
    return ",".join(ellipsis(name, _MOUNT_WIDTH) if row.truncate else name for name in names)


def _local_volumes(row: Row) -> str:
    mounts = row.container.get("Mounts") or []
    return str(sum(1 for mount in mounts if mount.get("Driver") == "local"))


def _networks(row: Row) -> str:
    return ",".join((row.container.get("NetworkSettings") or {}).get("Networks") or {})


def _labels(row: Row) -> dict[str, str] | None:
    labels: dict[str, str] | None = row.container.get("Labels")
    return labels


FIELDS: Fields = {
    "ID": Field("CONTAINER ID", _id),
    "Names": Field("NAMES", _names),
    "Image": Field("IMAGE", _image),
    "Command": Field("COMMAND", _command),
    "CreatedAt": Field("CREATED AT", lambda row: go_unix_time(row.container["Created"])),
    "RunningFor": Field("CREATED", _running_for),
    "Ports": Field("PORTS", lambda row: container_ports(row.container.get("Ports") or [])),
    "State": Field("STATE", lambda row: row.container.get("State", "")),
    "Status": Field("STATUS", lambda row: row.container.get("Status", "")),
    "Size": Field("SIZE", _size),
    "Labels": Field("LABELS", lambda row: labels_text(_labels(row))),
    "Label": Field(label_header, label_of(_labels)),
    "Mounts": Field("MOUNTS", _mounts),
    "LocalVolumes": Field("LOCAL VOLUMES", _local_volumes),
    "Networks": Field("NETWORKS", _networks),
    "Platform": Field("PLATFORM", lambda row: row.container.get("ImageManifestDescriptor")),
}


def _ls(session: Session, options: Options, _: list[str]) -> None:
    limit = 1 if options.yes("latest") and not options.given("last") else options.number("last")
    layout = options.text("format") or session.settings.text("psFormat")
    query = {
        "all": options.yes("all") or limit > 0 or None,
        "limit": limit if limit > 0 else None,
        "size": options.yes("size") or ".Size" in layout or None,
        "filters": filters_query(options.items("filter")),
    }
    now = session.now
    truncate = not options.yes("no-trunc")
    rows = [Row(each, now, truncate) for each in session.client.get("/containers/json", query)]
    table = _TABLE + ("\t{{.Size}}" if options.yes("size") else "")
    show_list(session, options, FIELDS, rows, table=table, setting="psFormat")


LS = Command(
    "",
    _ls,
    NONE,
    (
        switch("-a --all", "Show all containers (default shows just running)"),
        filters(),
        list_format(),
        number("-n --last", "Show n last created containers (includes all states)", default=-1),
        switch("-l --latest", "Show the latest created container (includes all states)"),
        switch("--no-trunc", "Don't truncate output"),
        switch("-q --quiet", "Only display container IDs"),
        switch("-s --size", "Display total file sizes"),
    ),
)
