"""`skep volume create`, `ls`, `rm`, `update`."""

from __future__ import annotations

from typing import Any

from skep.cli.client.client import filters_query
from skep.cli.errors import Failure
from skep.cli.flags.command import AT_MOST_ONE, NONE, SOME, Command
from skep.cli.flags.flag import Options, filters, switch, text, texts, value
from skep.cli.flags.kinds import SIZE
from skep.cli.session import Session
from skep.cli.show.listing import Field, Fields
from skep.cli.show.lists import list_format, show_list
from skep.cli.show.units import human_size, natural_key
from skep.cli.show.words import label_header, label_of, labels_text
from skep.cli.values.pairs import check_label, mapping

_TABLE = "{{.Driver}}\t{{.Name}}"
_CLUSTER_FLAGS = (
    "availability", "group", "limit-bytes", "required-bytes", "scope", "secret", "sharing",
    "topology-preferred", "topology-required", "type",
)  # fmt: skip

Volume = dict[str, Any]


def _labels(volume: Volume) -> dict[str, str] | None:
    labels: dict[str, str] | None = volume.get("Labels")
    return labels


def _size(volume: Volume) -> str:
    usage = volume.get("UsageData")
    return human_size(usage["Size"]) if usage and usage["Size"] >= 0 else "N/A"


def _links(volume: Volume) -> str:
    usage = volume.get("UsageData")
    return str(usage["RefCount"]) if usage else "N/A"


def _of_cluster_volumes(_: Volume) -> str:
    return "N/A"


FIELDS: Fields = {
    "Name": Field("VOLUME NAME", lambda volume: volume["Name"]),
    "Driver": Field("DRIVER", lambda volume: volume["Driver"]),
    "Scope": Field("SCOPE", lambda volume: volume.get("Scope", "")),
    "Mountpoint": Field("MOUNTPOINT", lambda volume: volume.get("Mountpoint", "")),
    "Labels": Field("LABELS", lambda volume: labels_text(_labels(volume))),
    "Label": Field(label_header, label_of(_labels)),
    "Links": Field("LINKS", _links),
    "Size": Field("SIZE", _size),
    "Group": Field("GROUP", _of_cluster_volumes),
    "Availability": Field("AVAILABILITY", _of_cluster_volumes),
    "Status": Field("STATUS", _of_cluster_volumes),
}


def _ls(session: Session, options: Options, _: list[str]) -> None:
    _refuse_cluster_volumes(options, "cluster")
    answer = session.client.get("/volumes", {"filters": filters_query(options.items("filter"))})
    volumes = answer.get("Volumes") or []
    volumes.sort(key=lambda volume: natural_key(volume["Name"]))
    show_list(
        session, options, FIELDS, volumes, table=_TABLE, setting="volumesFormat", quiet="{{.Name}}"
    )


def _create(session: Session, options: Options, arguments: list[str]) -> None:
    _refuse_cluster_volumes(options, *_CLUSTER_FLAGS)
    body = {
        "Name": arguments[0] if arguments else "",
        "Driver": options.text("driver"),
        "DriverOpts": mapping(options.items("opt")),
        "Labels": mapping(options.items("label")),
    }
    wish = {key: value for key, value in body.items() if value}
    session.say(session.client.post("/volumes/create", wish)["Name"])


def _refuse_cluster_volumes(options: Options, *flags: str) -> None:
    """A daemon of skep has none: not to list, to make or to change."""
    for flag in flags:
        if options.given(flag):
            raise Failure(f"--{flag} is for cluster volumes, which skep does not have")


def _rm(session: Session, options: Options, names: list[str]) -> int:
    def one(name: str) -> str:
        session.client.delete(f"/volumes/{name}", {"force": options.yes("force") or None})
        return name

    return session.each(names, one)


def _update(_: Session, options: Options, arguments: list[str]) -> None:
    raise Failure("Can only update cluster volumes, which skep does not have")


_AVAILABILITY = text(
    "--availability",
    'Cluster Volume availability ("active", "pause", "drain")',
    default="active",
)

LS = Command(
    "",
    _ls,
    NONE,
    (
        switch("--cluster", "Display only cluster volumes, and use cluster volume list formatting"),
        filters(),
        list_format(),
        switch("-q --quiet", "Only display volume names"),
    ),
)
CREATE = Command(
    "[VOLUME]",
    _create,
    AT_MOST_ONE,
    (
        _AVAILABILITY,
        text("-d --driver", "Specify volume driver name", default="local"),
        text("--group", "Cluster Volume group (cluster volumes)"),
        texts("--label", "Set metadata for a volume", check_label),
        value("--limit-bytes", SIZE, "Maximum size of the Cluster Volume in bytes", default=0),
        texts("-o --opt", "Set driver specific options", word="map"),
        value("--required-bytes", SIZE, "Minimum size of the Cluster Volume in bytes", default=0),
        text("--scope", 'Cluster Volume access scope ("single", "multi")', default="single"),
        texts("--secret", "Cluster Volume secrets", word="map"),
        text(
            "--sharing",
            'Cluster Volume access sharing ("none", "readonly", "onewriter", "all")',
            default="none",
        ),
        texts("--topology-preferred", "A topology in which the volume would be preferred"),
        texts("--topology-required", "A topology from which the volume must be accessible"),
        text("--type", 'Cluster Volume access type ("mount", "block")', default="block"),
    ),
)
RM = Command(
    "VOLUME [VOLUME...]",
    _rm,
    SOME,
    (switch("-f --force", "Force the removal of one or more volumes"),),
)
UPDATE = Command("[VOLUME]", _update, AT_MOST_ONE, (_AVAILABILITY,))
