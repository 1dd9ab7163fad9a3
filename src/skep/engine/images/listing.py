"""Which images a list or a prune means, and how an image is shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from skep.engine.queries import ImageQuery
from skep.kit.clock import ZERO_TIME
from skep.kit.patterns import Test, globbing
from skep.model.image import (
    GraphDriver,
    HistoryEntry,
    HistoryItem,
    Image,
    ImageInspect,
    ImageMetadata,
    ImageSummary,
    RootFSSummary,
)
from skep.model.reference import Reference


class Listed(msgspec.Struct, frozen=True):
    """An image with its names."""

    image: Image
    names: tuple[Reference, ...]

    @property
    def tags(self) -> tuple[Reference, ...]:
        return tuple(name for name in self.names if name.tag)

    @property
    def digests(self) -> tuple[Reference, ...]:
        return tuple(name for name in self.names if name.digest)

    @property
    def created(self) -> datetime:
        return self.image.document.created or ZERO_TIME


def select(
    listed: Sequence[Listed],
    query: ImageQuery,
    before: datetime | None = None,
    since: datetime | None = None,
) -> list[Listed]:
    """The images that match, newest first. `before` and `since` are the times of the images that
    the query names."""
    named = globbing(query.references) if query.references is not None else None
    limits = [moment for moment in (before, query.until) if moment]
    chosen = [
        item
        for item in listed
        if all(item.created < limit for limit in limits)
        and (since is None or item.created > since)
        and _is_dangling(item, query.dangling)
        and query.labels.passes(item.image.config.labels or {})
        and (named is None or _is_named(item, named))
    ]
    return sorted(chosen, key=lambda item: item.created, reverse=True)


def summary(item: Listed, shared_size: int, containers: int) -> ImageSummary:
    """The row that `docker image ls` prints."""
    return ImageSummary(
        id=item.image.id,
        repo_tags=tuple(name.familiar for name in item.tags),
        repo_digests=tuple(name.familiar for name in item.digests),
        created=_unix(item.image.document.created),
        size=item.image.size_bytes,
        shared_size=shared_size,
        labels=item.image.config.labels,
        containers=containers,
    )


def details(item: Listed, folders: Sequence[Path], named_at: datetime) -> ImageInspect:
    """What `docker image inspect` prints. `folders` are the unpacked layers, topmost first."""
    document = item.image.document
    return ImageInspect(
        id=item.image.id,
        repo_tags=tuple(name.familiar for name in item.tags),
        repo_digests=tuple(name.familiar for name in item.digests),
        comment=document.comment,
        created=document.created,
        docker_version=document.docker_version,
        author=document.author,
        config=item.image.config,
        architecture=document.architecture,
        variant=document.variant,
        os=document.os,
        os_version=document.os_version,
        size=item.image.size_bytes,
        graph_driver=_graph_driver(folders),
        root_fs=RootFSSummary(layers=item.image.diff_ids),
        metadata=ImageMetadata(last_tag_time=named_at),
    )


def _graph_driver(folders: Sequence[Path]) -> GraphDriver:
    """docker's keys: the top layer is UpperDir, those below it LowerDir."""
    data = {}
    if folders[1:]:
        data["LowerDir"] = ":".join(map(str, folders[1:]))
    if folders:
        data["UpperDir"] = str(folders[0])
    return GraphDriver(data=data)


def history(item: Listed, layer_sizes: Sequence[int]) -> list[HistoryItem]:
    """The build steps, newest first. Steps and layers are matched from the bottom up."""
    steps = item.image.document.history or tuple(HistoryEntry() for _ in layer_sizes)
    sizes = iter(layer_sizes)
    rows = [
        HistoryItem(
            created=_unix(step.created),
            created_by=step.created_by,
            comment=step.comment,
            size=0 if step.empty_layer else next(sizes, 0),
        )
        for step in steps
    ]
    rows.reverse()
    if rows:
        tags = tuple(name.familiar for name in item.tags) or None
        rows[0] = msgspec.structs.replace(rows[0], id=item.image.id, tags=tags)
    return rows


def _is_dangling(item: Listed, wanted: bool | None) -> bool:
    return wanted is None or wanted == (not item.tags)


def _is_named(item: Listed, wanted: Test) -> bool:
    shown = {text for name in item.names for text in (name.familiar, name.familiar_repository)}
    return any(map(wanted, shown))


def _unix(moment: datetime | None) -> int:
    return int(moment.timestamp()) if moment else 0
