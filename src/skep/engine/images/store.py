"""The node's images: the one class that the container engine and the API's routes speak to."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from skep.model.image import (
    DistributionInspect,
    HistoryItem,
    Image,
    ImageDeletion,
    ImageInspect,
    ImagesDiskUsage,
    ImagesPruned,
    ImageSummary,
    Platform,
    Progress,
    RegistryAuth,
)

Filters = Mapping[str, Collection[str]]
"""An API `filters` parameter, decoded: key -> wanted values."""


class ImageUser(msgspec.Struct, frozen=True):
    """A container that was made from an image."""

    container_id: str
    image_id: str
    running: bool


class LoadedImage(msgspec.Struct, frozen=True):
    """An image that an archive brought: its id, and its names in familiar form."""

    id: str
    names: tuple[str, ...]


class ImageStore:
    """Images and unpacked layers under `root`.

    `users()` lists the containers on this node (asked at remove, prune and list; must not block).
    `on_event(action, image_id, name)` is told of pull, load, import, tag, untag and delete.
    All methods may run at the same time: one layer is unpacked once, and nothing else waits.
    """

    def __init__(
        self,
        root: Path,
        exec_root: Path,
        *,
        insecure_registries: Collection[str] = (),
        users: Callable[[], Iterable[ImageUser]] = tuple,
        on_event: Callable[[str, str, str], None] = lambda action, image_id, name: None,
    ) -> None: ...

    async def open(self) -> None:
        """Remove what a crash left half made and read the names. Call once, before all else."""
        raise NotImplementedError

    async def close(self) -> None:
        """End running transfers and helper threads."""
        raise NotImplementedError

    # What there is

    async def resolve(self, name: str) -> Image:
        """The image of a reference, `name@sha256:…`, id or unique id prefix.

        Raises NotFound (`No such image: x:latest`) or InvalidArgument (`invalid reference format`).
        """
        raise NotImplementedError

    def hold(self, image_id: str) -> AbstractContextManager[None]:
        """Keep an image from being removed while a container is made from it, until `users()`
        lists that container. Raises NotFound when it is gone already."""
        raise NotImplementedError

    def layers(self, image: Image) -> list[Path]:
        """Unpacked layers for overlayfs `lowerdir`, topmost first. In memory: no waiting.

        Short symlinks, `<root>/l/<4 or more hex>`: one page of mount options holds 128 of them
        when `root` is up to 24 characters long; `overlay.mount_overlay` has no such limit.
        """
        raise NotImplementedError

    async def summaries(
        self, filters: Filters | None = None, *, shared_size: bool = False
    ) -> list[ImageSummary]:
        """GET /images/json, newest first.

        Filters: before, dangling, label, reference, since, until; others raise InvalidArgument.
        """
        raise NotImplementedError

    async def inspect(self, name: str) -> ImageInspect:
        raise NotImplementedError

    async def history(self, name: str) -> list[HistoryItem]:
        """Newest step first."""
        raise NotImplementedError

    async def disk_usage(self) -> ImagesDiskUsage:
        raise NotImplementedError

    # Registries

    def pull(
        self, reference: str, auth: RegistryAuth | None = None, platform: Platform | None = None
    ) -> AsyncIterator[Progress]:
        """Fetch and unpack an image; closing the iterator ends the transfer.

        `reference` without tag or digest means `latest`. Raises, before the first line when the
        registry refuses: NotFound (manifest unknown, pull access denied), Internal or Unavailable
        (cannot be reached, time-out), InvalidArgument (a blob that is not what its digest says).
        """
        raise NotImplementedError

    async def distribution_inspect(
        self, reference: str, auth: RegistryAuth | None = None
    ) -> DistributionInspect:
        """What the registry has under `reference`; nothing is stored. Errors as in `pull`."""
        raise NotImplementedError

    # Archives

    async def load(self, archive: AsyncIterable[bytes]) -> list[LoadedImage]:
        """Take in a `docker save` or OCI archive (plain, gzip, zstd, xz or bzip2); all or nothing.

        Raises InvalidArgument when it is corrupt, hostile or holds no image.
        """
        raise NotImplementedError

    async def save(self, names: Collection[str]) -> AsyncIterator[bytes]:
        """A `docker load`-able archive, which is an OCI layout too. Await gives the stream:
        unknown names raise NotFound before it starts."""
        raise NotImplementedError

    async def import_(
        self,
        rootfs: AsyncIterable[bytes],
        name: str = "",
        *,
        changes: Collection[str] = (),
        message: str = "",
        platform: Platform | None = None,
    ) -> str:
        """Make a one-layer image of a root filesystem tar; returns its id.

        `name` (`repo` or `repo:tag`) may be empty. `changes` are Dockerfile instructions.
        """
        raise NotImplementedError

    # Names

    async def tag(self, source: str, name: str) -> None:
        """Point `name` (tag `latest` when it has none) at an image."""
        raise NotImplementedError

    async def remove(
        self, name: str, *, force: bool = False, noprune: bool = False
    ) -> list[ImageDeletion]:
        """Untag, and delete with the last name. Raises NotFound, or Conflict in docker's words."""
        raise NotImplementedError

    async def prune(self, filters: Filters | None = None) -> ImagesPruned:
        """Delete unused images: dangling ones, or with `dangling=false` all. Filters: dangling,
        label, label!, until."""
        raise NotImplementedError
