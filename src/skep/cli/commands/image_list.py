"""`skep images`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from skep.cli.client.client import filters_query
from skep.cli.flags.command import AT_MOST_ONE, Command
from skep.cli.flags.flag import Options, filters, switch
from skep.cli.session import Session
from skep.cli.show.listing import Field, Fields
from skep.cli.show.lists import list_format, show_list
from skep.cli.show.units import go_unix_time, human_duration, human_size, short_id
from skep.cli.show.words import familiar_image

NONE_SHOWN = "<none>"
_NOT_KNOWN = -1


class Row(NamedTuple):
    """One name of one image."""

    image: dict[str, Any]
    repository: str
    tag: str
    digest: str
    now: datetime
    truncate: bool = True


def rows_of(
    images: list[dict[str, Any]], *, digests: bool, truncate: bool, now: datetime
) -> list[Row]:
    """A row for each tag of each image; with `digests` also for digests that no tag covers."""
    return [
        Row(image, repository, tag, digest, now, truncate)
        for image in images
        for repository, tag, digest in _names(image, digests)
    ]


def _names(image: dict[str, Any], digests: bool) -> Iterator[tuple[str, str, str]]:
    digest_of: dict[str, list[str]] = {}
    for reference in image.get("RepoDigests") or []:
        repository, _, digest = reference.partition("@")
        digest_of.setdefault(familiar_image(repository), []).append(digest)
    tagged = [familiar_image(tag) for tag in image.get("RepoTags") or [] if tag != "<none>:<none>"]
    digest_of.pop(NONE_SHOWN, None)
    if not tagged and not digest_of:
        yield NONE_SHOWN, NONE_SHOWN, NONE_SHOWN
    for reference in tagged:
        repository, _, tag = reference.rpartition(":")
        known = digest_of.get(repository) or [NONE_SHOWN]
        for digest in known if digests else [NONE_SHOWN]:
            yield repository, tag, digest
    covered = {reference.rpartition(":")[0] for reference in tagged}
    for repository, known in digest_of.items():
        if repository not in covered:
            for digest in known if digests else known[:1]:
                yield repository, NONE_SHOWN, digest if digests else NONE_SHOWN


def _id(row: Row) -> str:
    full = str(row.image["Id"])
    return short_id(full) if row.truncate else full


def _shared(row: Row) -> str:
    size = row.image.get("SharedSize", _NOT_KNOWN)
    return "N/A" if size == _NOT_KNOWN else human_size(size)


def _unique(row: Row) -> str:
    shared = row.image.get("SharedSize", _NOT_KNOWN)
    return "N/A" if shared == _NOT_KNOWN else human_size(row.image["Size"] - shared)


def _containers(row: Row) -> str:
    count = row.image.get("Containers", _NOT_KNOWN)
    return "N/A" if count == _NOT_KNOWN else str(count)


FIELDS: Fields = {
    "ID": Field("IMAGE ID", _id),
    "Repository": Field("REPOSITORY", lambda row: row.repository),
    "Tag": Field("TAG", lambda row: row.tag),
    "Digest": Field("DIGEST", lambda row: row.digest),
    "CreatedSince": Field(
        "CREATED",
        lambda row: f"{human_duration(row.now.timestamp() - row.image['Created'])} ago",
    ),
    "CreatedAt": Field("CREATED AT", lambda row: go_unix_time(row.image["Created"])),
    "Size": Field("SIZE", lambda row: human_size(row.image["Size"], 3)),
    "VirtualSize": Field("SIZE", lambda row: human_size(row.image["Size"])),
    "SharedSize": Field("SHARED SIZE", _shared),
    "UniqueSize": Field("UNIQUE SIZE", _unique),
    "Containers": Field("CONTAINERS", _containers),
}


def _ls(session: Session, options: Options, arguments: list[str]) -> None:
    wanted = [*options.items("filter"), *(("reference", word) for word in arguments)]
    query = {"all": options.yes("all") or None, "filters": filters_query(wanted)}
    images = session.client.get("/images/json", query)
    layout = options.text("format") or session.settings.text("imagesFormat")
    digests = options.yes("digests") or ".Digest" in layout
    rows = rows_of(images, digests=digests, truncate=not options.yes("no-trunc"), now=session.now)
    digest = "{{.Digest}}\t" if options.yes("digests") else ""
    table = "{{.Repository}}\t{{.Tag}}\t" + digest + "{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
    show_list(session, options, FIELDS, rows, table=table, setting="imagesFormat")


LS = Command(
    "[REPOSITORY[:TAG]]",
    _ls,
    AT_MOST_ONE,
    (
        switch("-a --all", "Show all images (default hides intermediate images)"),
        switch("--digests", "Show digests"),
        filters(),
        list_format(),
        switch("--no-trunc", "Don't truncate output"),
        switch("-q --quiet", "Only show image IDs"),
    ),
)
