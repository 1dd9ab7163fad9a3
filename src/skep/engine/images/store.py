"""The node's images: the one class that the container engine and the API's routes speak to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from skep.engine.images import listing
from skep.engine.images.archives import Archives, LoadedImage, tag_reference
from skep.engine.images.listing import Listed
from skep.engine.images.manifests import host_platform, sha256_digest
from skep.engine.images.pulls import Pulls
from skep.engine.images.registry import Registries
from skep.engine.images.removal import ImageUser, plan_removal, short_id
from skep.engine.images.shelf import OnEvent, Shelf
from skep.engine.images.unpack import Limits
from skep.engine.queries import EVERY_IMAGE, ImageQuery
from skep.kit.clock import ZERO_TIME, utc_now
from skep.kit.errors import Conflict
from skep.kit.labels import ANY_LABELS, LabelQuery
from skep.model.image import (
    AuthConfig,
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
)
from skep.model.reference import Reference

_DEFAULT_LIMITS = Limits()


class ImageStore:
    """Images and unpacked layers under `root`.

    `users()` lists the containers on this node (asked at remove, prune and df; must not block).
    `on_event(action, image_id, name)` is told of pull, load, import, tag, untag and delete.
    All methods may run at the same time: one layer is unpacked once, and nothing else waits.
    """

    def __init__(
        self,
        root: Path,
        *,
        insecure_registries: Collection[str] = (),
        users: Callable[[], Iterable[ImageUser]] = tuple,
        on_event: OnEvent = lambda action, image_id, name: None,
        limits: Limits = _DEFAULT_LIMITS,
    ) -> None:
        self._users = users
        self._shelf = Shelf(root, limits, on_event)
        self._pulls = Pulls(self._shelf, Registries(self._shelf.layers.tmp, insecure_registries))
        self._archives = Archives(self._shelf)
        self._removing = asyncio.Lock()

    async def open(self) -> None:
        """Remove what a crash left half made and read the names. Call once, before all else."""
        await self._shelf.workers.run(self._shelf.open)

    async def close(self) -> None:
        """End running transfers and helper threads."""
        await self._pulls.close()
        self._shelf.workers.close()

    # What there is

    async def resolve(self, name: str) -> Image:
        """The image of a reference, `name@sha256:…`, id or unique id prefix.

        Raises NotFound (`No such image: x:latest`) or InvalidArgument (`invalid reference format`).
        """
        image_id, _ = self._shelf.locate(name)
        return await self._shelf.records.get(image_id)

    def hold(self, image_id: str) -> AbstractContextManager[None]:
        """Keep an image from being removed while a container is made from it, until `users()`
        lists that container. Raises NotFound when it is gone already."""
        return self._shelf.records.hold(image_id)

    def layers(self, image: Image) -> list[Path]:
        """Unpacked layers for overlayfs `lowerdir`, topmost first. In memory: no waiting.

        Short symlinks, `<root>/l/<4 or more hex>`: one page of mount options holds 127 of them
        when `root` is up to 24 characters long.
        """
        return [self._shelf.layers.link(diff_id) for diff_id in reversed(image.diff_ids)]

    async def summaries(
        self,
        query: ImageQuery = EVERY_IMAGE,
        *,
        shared_size: bool = False,
        containers: bool = False,
    ) -> list[ImageSummary]:
        """GET /images/json, newest first. Raises NotFound for a `before` or `since` that is not
        there."""
        listed = await self._shelf.listed()
        chosen = listing.select(
            listed,
            query,
            before=await self._created(query.before, min),
            since=await self._created(query.since, max),
        )
        shared = await self._shared_sizes(listed) if shared_size else {}
        counts = Counter(user.image_id for user in self._users())
        return [
            listing.summary(
                item,
                shared_size=shared.get(item.image.id, -1),
                containers=counts[item.image.id] if containers else -1,
            )
            for item in chosen
        ]

    async def inspect(self, name: str) -> ImageInspect:
        """GET /images/{name}/json. Raises as `resolve` does."""
        image = await self.resolve(name)
        folders = [self._shelf.layers.diff(diff_id) for diff_id in reversed(image.diff_ids)]
        named_at = self._shelf.names.last_named(image.id) or ZERO_TIME
        return listing.details(self._shelf.listed_one(image), folders, named_at)

    async def history(self, name: str) -> list[HistoryItem]:
        """GET /images/{name}/history, newest step first. Raises as `resolve` does."""
        image = await self.resolve(name)
        sizes = await self._shelf.layer_sizes(image.diff_ids)
        return listing.history(self._shelf.listed_one(image), sizes)

    async def disk_usage(self) -> ImagesDiskUsage:
        """The images' share of GET /system/df."""
        images = await self.summaries(shared_size=True, containers=True)
        sizes = await self._shelf.layer_sizes(tuple(self._shelf.layers))
        return ImagesDiskUsage(tuple(images), sum(sizes))

    # Registries

    def pull(
        self, reference: str, auth: AuthConfig | None = None, platform: Platform | None = None
    ) -> AsyncIterator[Progress]:
        """Fetch and unpack an image; closing the iterator ends the transfer.

        `reference` without tag or digest means `latest`. Pulls of one name at the same time are
        one transfer. Raises, before the first line when the registry refuses: NotFound (manifest
        unknown, pull access denied), Forbidden (credentials), RegistryError (cannot be reached,
        time-out), InvalidArgument (a name or blob that is not what it should be).
        """
        return self._pulls.pull(reference, auth, platform)

    async def fetch(self, reference: str, auth: AuthConfig | None = None) -> None:
        """Pull to the end: the transfer goes on when the caller leaves, and whoever asks for the
        same again joins it. Errors as in `pull`."""
        await self._pulls.fetch(reference, auth)

    async def distribution_inspect(
        self, reference: str, auth: AuthConfig | None = None
    ) -> DistributionInspect:
        """What the registry has under `reference`; nothing is stored. Errors as in `pull`."""
        return await self._pulls.distribution_inspect(reference, auth)

    async def login(self, auth: AuthConfig) -> None:
        """See that a registry takes these credentials; nothing is kept.

        Raises Unauthenticated when it does not, RegistryError when it cannot be asked.
        """
        await self._pulls.login(auth)

    # Archives

    async def load(self, archive: AsyncIterable[bytes]) -> list[LoadedImage]:
        """Take in a `docker save` or OCI archive (plain, gzip, zstd, xz or bzip2); all or nothing.

        Raises InvalidArgument when it is corrupt, hostile or holds no image.
        """
        return await self._archives.load(archive)

    async def save(self, names: Collection[str]) -> AsyncIterator[bytes]:
        """A `docker load`-able archive, which is an OCI layout too. Await gives the stream:
        unknown names raise NotFound before it starts."""
        return await self._archives.save(names)

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

        `name` (`repo` or `repo:tag`) may be empty. `changes` are Dockerfile instructions. Raises
        InvalidArgument for a bad name, change or archive.
        """
        return await self._archives.import_(
            rootfs, name, changes, message, platform or host_platform()
        )

    # Names

    async def tag(self, source: str, name: str) -> None:
        """Point `name` (tag `latest` when it has none) at an image."""
        image_id, _ = self._shelf.locate(source)
        reference = tag_reference(name)
        with self.hold(image_id):
            await self._shelf.names.point([reference], image_id, utc_now())
        self._shelf.on_event("tag", image_id, reference.familiar)

    async def remove(self, name: str, *, force: bool = False) -> list[ImageDeletion]:
        """Untag, and delete with the last name. Raises NotFound, or Conflict in docker's words."""
        async with self._removing:
            image = await self.resolve(name)
            _, asked = self._shelf.locate(name)
            users = [user for user in self._users() if user.image_id == image.id]
            plan = plan_removal(image.id, self._shelf.names.of(image.id), asked, users, force)
            if not plan.delete:
                return await self._untag(image.id, plan.untag)
            if self._shelf.records.is_held(image.id):
                raise Conflict(
                    f"conflict: unable to delete {short_id(image.id)} (cannot be forced) - "
                    "something is being made from it: try again"
                )
            deletions, _ = await self._delete([image])
            return deletions

    async def prune(
        self,
        labels: LabelQuery = ANY_LABELS,
        until: datetime | None = None,
        *,
        tagged_too: bool = False,
    ) -> ImagesPruned:
        """Delete unused images with these labels and made before `until`: dangling ones, or all."""
        query = ImageQuery(labels=labels, until=until)
        async with self._removing:
            listed = await self._shelf.listed()
            used = {user.image_id for user in self._users()}
            doomed = [
                item.image
                for item in listing.select(listed, query)
                if item.image.id not in used
                and not self._shelf.records.is_held(item.image.id)
                and (tagged_too or not item.tags)
            ]
            deletions, freed_bytes = await self._delete(doomed)
        return ImagesPruned(images_deleted=tuple(deletions), space_reclaimed=freed_bytes)

    async def _untag(self, image_id: str, names: Collection[Reference]) -> list[ImageDeletion]:
        await self._shelf.names.drop(names)
        for name in names:
            self._shelf.on_event("untag", image_id, name.familiar)
        return [ImageDeletion(untagged=name.familiar) for name in names]

    async def _delete(self, images: Sequence[Image]) -> tuple[list[ImageDeletion], int]:
        """Delete images with their names, and the layers that nobody else has.

        Nothing is awaited before they are forgotten: what the caller checked still holds then.
        """
        shelf = self._shelf
        for image in images:
            shelf.records.forget(image.id)
        deletions = []
        for image in images:
            deletions += await self._untag(image.id, shelf.names.of(image.id))
            await shelf.records.delete(image.id)
            shelf.on_event("delete", image.id, image.id)
        freed = await shelf.sweep()
        for image in images:
            deletions.append(ImageDeletion(deleted=image.id))
            chain = zip(_chain_ids(image.diff_ids), image.diff_ids, strict=True)
            gone = [chain_id for chain_id, diff_id in chain if diff_id in freed]
            deletions += [ImageDeletion(deleted=chain_id) for chain_id in reversed(gone)]
        return deletions, sum(freed.values())

    async def _created(
        self, names: Collection[str], choose: Callable[[Iterable[datetime]], datetime]
    ) -> datetime | None:
        """When the images that `before` or `since` name were made."""
        moments = [(await self.resolve(n)).document.created or ZERO_TIME for n in names]
        return choose(moments) if moments else None

    async def _shared_sizes(self, listed: Sequence[Listed]) -> dict[str, int]:
        """Bytes in layers that other images have too, by image id."""
        owners = Counter(d for item in listed for d in set(item.image.diff_ids))
        common = [diff_id for diff_id, count in owners.items() if count > 1]
        sizes = dict(zip(common, await self._shelf.layer_sizes(common), strict=True))
        return {item.image.id: sum(sizes.get(d, 0) for d in item.image.diff_ids) for item in listed}


def _chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """OCI's names for each layer together with all below it, lowest first."""
    chain = list(diff_ids[:1])
    for diff_id in diff_ids[1:]:
        chain.append(sha256_digest(f"{chain[-1]} {diff_id}".encode()))
    return chain
