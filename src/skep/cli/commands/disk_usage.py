"""`skep system df`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from skep.cli.commands.container_list import FIELDS as CONTAINER_FIELDS
from skep.cli.commands.container_list import Row as ContainerRow
from skep.cli.commands.image_list import FIELDS as IMAGE_FIELDS
from skep.cli.commands.image_list import rows_of
from skep.cli.commands.volume import FIELDS as VOLUME_FIELDS
from skep.cli.errors import Failure
from skep.cli.flags.command import NONE, Command
from skep.cli.flags.flag import Options, switch
from skep.cli.session import Session
from skep.cli.show.listing import Field, Fields, render
from skep.cli.show.lists import list_format, show_list
from skep.cli.show.units import human_size

_TABLE = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"
_IMAGES = (
    "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}"
    "\t{{.UniqueSize}}\t{{.Containers}}"
)
_CONTAINERS = (
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}"
    "\t{{.Status}}\t{{.Names}}"
)
_VOLUMES = "{{.Name}}\t{{.Links}}\t{{.Size}}"
_ALIVE = ("running", "paused", "restarting")


class Usage(NamedTuple):
    """A kind of thing: how many, how many in use, how much, how much of it for nothing."""

    kind: str
    total: int
    active: int
    size: int
    reclaimable: int
    share: bool = True


def _reclaimable(usage: Usage) -> str:
    shown = human_size(usage.reclaimable)
    if usage.share and usage.size > 0:
        return f"{shown} ({int(usage.reclaimable * 100 / usage.size)}%)"
    return shown


FIELDS: Fields = {
    "Type": Field("TYPE", lambda usage: usage.kind),
    "TotalCount": Field("TOTAL", lambda usage: str(usage.total)),
    "Active": Field("ACTIVE", lambda usage: str(usage.active)),
    "Size": Field("SIZE", lambda usage: human_size(usage.size)),
    "Reclaimable": Field("RECLAIMABLE", _reclaimable),
}


def summary(usage: dict[str, Any]) -> list[Usage]:
    """A line for each kind from the answer of GET /system/df."""
    return [_images(usage), _containers(usage), _volumes(usage), _build_cache(usage)]


def _images(usage: dict[str, Any]) -> Usage:
    images = usage.get("Images") or []
    used = [image for image in images if image.get("Containers", 0) > 0]
    total = int(usage.get("LayersSize") or 0)
    in_use = sum(
        image["Size"] - max(image.get("SharedSize", 0), 0)
        for image in used
        if image.get("Size", -1) >= 0
    )
    return Usage("Images", len(images), len(used), total, max(total - in_use, 0))


def _containers(usage: dict[str, Any]) -> Usage:
    containers = usage.get("Containers") or []
    alive = [each for each in containers if each.get("State") in _ALIVE]
    size = sum(each.get("SizeRw", 0) for each in containers)
    return Usage(
        "Containers",
        len(containers),
        len(alive),
        size,
        size - sum(each.get("SizeRw", 0) for each in alive),
    )


def _volumes(usage: dict[str, Any]) -> Usage:
    volumes = usage.get("Volumes") or []
    known = [each["UsageData"] for each in volumes if each.get("UsageData")]
    size = sum(max(each["Size"], 0) for each in known)
    free = sum(max(each["Size"], 0) for each in known if not each["RefCount"])
    used = sum(1 for each in known if each["RefCount"] > 0)
    return Usage("Local Volumes", len(volumes), used, size, free)


def _build_cache(usage: dict[str, Any]) -> Usage:
    cache = usage.get("BuildCache") or []
    size = sum(each.get("Size", 0) for each in cache if not each.get("Shared"))
    free = sum(each.get("Size", 0) for each in cache if not each.get("InUse"))
    used = sum(1 for each in cache if each.get("InUse"))
    return Usage("Build Cache", len(cache), used, size, free, share=False)


def _df(session: Session, options: Options, _: list[str]) -> None:
    usage = session.client.get("/system/df")
    if not options.yes("verbose"):
        show_list(session, options, FIELDS, summary(usage), table=_TABLE)
        return
    if options.given("format"):
        raise Failure(
            "--format cannot be combined with --verbose: one table for each kind is shown"
        )
    for title, table, fields, rows in _tables(usage, session.now):
        session.say(f"{title} space usage:\n")
        session.write(render("", table, fields, rows) + "\n")
    session.say(f"Build cache usage: {human_size(_build_cache(usage).size)}\n")


def _own_size(row: ContainerRow) -> str:
    return human_size(row.container.get("SizeRw", 0), 3)


def _tables(usage: dict[str, Any], now: datetime) -> list[tuple[str, str, Fields, list[Any]]]:
    containers = {**CONTAINER_FIELDS, "Size": Field("SIZE", _own_size)}
    return [
        (
            "Images",
            _IMAGES,
            IMAGE_FIELDS,
            rows_of(usage.get("Images") or [], digests=False, truncate=True, now=now),
        ),
        (
            "Containers",
            _CONTAINERS,
            containers,
            [ContainerRow(each, now) for each in usage.get("Containers") or []],
        ),
        ("Local Volumes", _VOLUMES, VOLUME_FIELDS, usage.get("Volumes") or []),
    ]


DF = Command(
    "",
    _df,
    NONE,
    (list_format(), switch("-v --verbose", "Show detailed information on space usage")),
)
