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
from skep.cli.values.pairs import check_label, csv_row, mapping

_TABLE = "{{.Driver}}\t{{.Name}}"
_CLUSTER_TABLE = "{{.Name}}\t{{.Group}}\t{{.Driver}}\t{{.Availability}}\t{{.Status}}"
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


def _cluster(volume: Volume, *path: str) -> str:
    found: Any = volume.get("ClusterVolume")
    for key in path:
        found = (found or {}).get(key)
    return str(found) if found else "N/A"


def cluster_status(volume: Volume) -> str:
    """Where a cluster volume stands: made where, used where."""
    cluster = volume.get("ClusterVolume")
    if not cluster:
        return "N/A"
    if not (cluster.get("Info") or {}).get("VolumeID"):
        return "pending creation"
    count = len(cluster.get("PublishStatus") or [])
    if not count:
        return "created"
    return "in use (1 node)" if count == 1 else f"in use ({count} nodes)"


FIELDS: Fields = {
    "Name": Field("VOLUME NAME", lambda volume: volume["Name"]),
    "Driver": Field("DRIVER", lambda volume: volume["Driver"]),
    "Scope": Field("SCOPE", lambda volume: volume.get("Scope", "")),
    "Mountpoint": Field("MOUNTPOINT", lambda volume: volume.get("Mountpoint", "")),
    "Labels": Field("LABELS", lambda volume: labels_text(_labels(volume))),
    "Label": Field(label_header, label_of(_labels)),
    "Links": Field("LINKS", _links),
    "Size": Field("SIZE", _size),
    "Group": Field("GROUP", lambda volume: _cluster(volume, "Spec", "Group")),
    "Availability": Field("AVAILABILITY", lambda volume: _cluster(volume, "Spec", "Availability")),
    "Status": Field("STATUS", cluster_status),
}


def _ls(session: Session, options: Options, _: list[str]) -> None:
    answer = session.client.get("/volumes", {"filters": filters_query(options.items("filter"))})
    volumes = answer.get("Volumes") or []
    table = _TABLE
    if options.yes("cluster"):
        volumes = [volume for volume in volumes if volume.get("ClusterVolume")]
        table = _CLUSTER_TABLE
    volumes.sort(key=lambda volume: natural_key(volume["Name"]))
    show_list(
        session, options, FIELDS, volumes, table=table, setting="volumesFormat", quiet="{{.Name}}"
    )


def _create(session: Session, options: Options, arguments: list[str]) -> None:
    try:
        body = volume_body(options, arguments[0] if arguments else "")
    except ValueError as error:
        raise Failure(str(error)) from None
    session.say(session.client.post("/volumes/create", body)["Name"])


def volume_body(options: Options, name: str) -> dict[str, Any]:
    body = {
        "Name": name,
        "Driver": options.text("driver"),
        "DriverOpts": mapping(options.items("opt")),
        "Labels": mapping(options.items("label")),
        "ClusterVolumeSpec": _cluster_spec(options),
    }
    return {key: value for key, value in body.items() if value}


def _cluster_spec(options: Options) -> dict[str, Any] | None:
    """A ClusterVolumeSpec, if any of its flags was given."""
    if not options.any_given(*_CLUSTER_FLAGS):
        return None
    access: dict[str, Any] = {
        "Scope": _one_of(options, "scope", ("single", "multi")),
        "Sharing": _one_of(options, "sharing", ("none", "readonly", "onewriter", "all")),
    }
    kind = _one_of(options, "type", ("mount", "block"))
    access["BlockVolume" if kind == "block" else "MountVolume"] = {}
    secrets = mapping(options.items("secret"))
    return {
        "Group": options.text("group"),
        "AccessMode": access,
        "Secrets": [{"Key": key, "Secret": name} for key, name in sorted(secrets.items())],
        "CapacityRange": {
            "RequiredBytes": options.number("required-bytes"),
            "LimitBytes": options.number("limit-bytes"),
        },
        "AccessibilityRequirements": {
            "Requisite": _topologies(options, "topology-required"),
            "Preferred": _topologies(options, "topology-preferred"),
        },
        "Availability": _one_of(options, "availability", ("active", "pause", "drain")),
    }


def _one_of(options: Options, name: str, allowed: tuple[str, ...]) -> str:
    word = options.text(name)
    if word not in allowed:
        raise ValueError(f'invalid {name} "{word}": use {", ".join(allowed)}')
    return word


def _topologies(options: Options, name: str) -> list[dict[str, Any]]:
    return [{"Segments": mapping(csv_row(each))} for each in options.items(name)]


def _rm(session: Session, options: Options, names: list[str]) -> int:
    def one(name: str) -> str:
        session.client.delete(f"/volumes/{name}", {"force": options.yes("force") or None})
        return name

    return session.each(names, one)


def _update(session: Session, options: Options, arguments: list[str]) -> None:
    if not arguments:
        raise Failure("name the cluster volume to update")
    volume = session.client.get(f"/volumes/{arguments[0]}")
    cluster = volume.get("ClusterVolume")
    if not cluster:
        raise Failure("Can only update cluster volumes")
    spec = cluster["Spec"]
    if options.given("availability"):
        spec["Availability"] = options.text("availability")
    query = {"version": cluster["Version"]["Index"]}
    session.client.put(f"/volumes/{cluster['ID']}", {"Spec": spec}, query)


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
