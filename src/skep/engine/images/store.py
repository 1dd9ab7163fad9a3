"""The node's images: the one class that the container engine and the API's routes speak to."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from skep.engine.filters import Filters, check_filters, flag
from skep.engine.images import export, listing, spool
from skep.engine.images.archive import ArchivedImage, ArchivedLayer, ImageArchive
from skep.engine.images.broadcast import Report, SharedWork
from skep.engine.images.changes import apply_changes
from skep.engine.images.layers import LayerStore
from skep.engine.images.listing import Listed
from skep.engine.images.manifests import (
    ManifestList,
    host_platform,
    media_type,
    parse_manifest,
    sha256_digest,
)
from skep.engine.images.names import NameTable
from skep.engine.images.pull import Remote, fetch_document, fetch_layers, find, first_error
from skep.engine.images.records import ImageRecords, parse_document
from skep.engine.images.registry import Registries
from skep.engine.images.removal import ImageUser, plan_removal, short_id
from skep.engine.images.unpack import Limits
from skep.kit.clock import ZERO_TIME, utc_now
from skep.kit.errors import Conflict, InvalidArgument, NotFound
from skep.model.image import (
    Descriptor,
    DistributionInspect,
    GraphDriver,
    HistoryEntry,
    HistoryItem,
    Image,
    ImageConfig,
    ImageDeletion,
    ImageDocument,
    ImageInspect,
    ImageMetadata,
    ImagesDiskUsage,
    ImagesPruned,
    ImageSummary,
    Platform,
    Progress,
    RegistryAuth,
    RootFS,
    RootFSSummary,
)
from skep.model.reference import Reference, parse_reference

T = TypeVar("T")

_WORKERS = 4
_MAX_TRANSFERS = 3
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{1,64}")


class LoadedImage(msgspec.Struct, frozen=True):
    """An image that an archive brought: its id, and its names in familiar form."""

    id: str
    names: tuple[str, ...]


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
        on_event: Callable[[str, str, str], None] = lambda action, image_id, name: None,
        limits: Limits = Limits(),  # noqa: B008 (a frozen value)
    ) -> None:
        self._limits = limits
        self._users = users
        self._on_event = on_event
        self._workers = ThreadPoolExecutor(_WORKERS, "images")
        self._layers = LayerStore(root, self._workers, limits)
        self._records = ImageRecords(root, self._layers.tmp)
        self._names = NameTable(root)
        self._registries = Registries(self._layers.tmp, insecure_registries)
        self._pulls = SharedWork()
        self._transfers = asyncio.Semaphore(_MAX_TRANSFERS)
        self._removing = asyncio.Lock()

    async def open(self) -> None:
        """Remove what a crash left half made and read the names. Call once, before all else."""
        await self._run(self._open)

    def _open(self) -> None:
        self._layers.open()
        self._records.open()
        self._names.open(self._records.__contains__)

    async def close(self) -> None:
        """End running transfers and helper threads."""
        await self._pulls.close()
        self._workers.shutdown(wait=False, cancel_futures=True)

    # What there is

    async def resolve(self, name: str) -> Image:
        """The image of a reference, `name@sha256:…`, id or unique id prefix.

        Raises NotFound (`No such image: x:latest`) or InvalidArgument (`invalid reference format`).
        """
        image_id, _ = self._locate(name)
        return await self._records.get(image_id)

    def hold(self, image_id: str) -> AbstractContextManager[None]:
        """Keep an image from being removed while a container is made from it, until `users()`
        lists that container. Raises NotFound when it is gone already."""
        return self._records.hold(image_id)

    def layers(self, image: Image) -> list[Path]:
        """Unpacked layers for overlayfs `lowerdir`, topmost first. In memory: no waiting.

        Short symlinks, `<root>/l/<4 or more hex>`: one page of mount options holds 128 of them
        when `root` is up to 24 characters long; `overlay.mount_overlay` has no such limit.
        """
        return [self._layers.link(diff_id) for diff_id in reversed(image.diff_ids)]

    async def summaries(
        self, filters: Filters | None = None, *, shared_size: bool = False, containers: bool = False
    ) -> list[ImageSummary]:
        """GET /images/json, newest first.

        Filters: before, dangling, label, reference, since, until; others raise InvalidArgument.
        """
        filters = check_filters(filters, listing.LIST_FILTERS)
        listed = await self._listed()
        chosen = listing.select(
            listed,
            filters,
            utc_now(),
            before=await self._created(filters.get("before", ()), min),
            since=await self._created(filters.get("since", ()), max),
        )
        shared = await self._shared_sizes(listed) if shared_size else {}
        used = Counter(user.image_id for user in self._users()) if containers else None
        return [
            listing.summary(
                item, shared.get(item.image.id, -1), used[item.image.id] if used is not None else -1
            )
            for item in chosen
        ]

    async def inspect(self, name: str) -> ImageInspect:
        """GET /images/{name}/json. Raises as `resolve` does."""
        image = await self.resolve(name)
        document, item = image.document, self._listed_one(image)
        return ImageInspect(
            id=image.id,
            repo_tags=tuple(name.familiar for name in item.tags),
            repo_digests=tuple(name.familiar for name in item.digests),
            comment=document.comment,
            created=document.created,
            docker_version=document.docker_version,
            author=document.author,
            config=image.config,
            architecture=document.architecture,
            variant=document.variant,
            os=document.os,
            os_version=document.os_version,
            size=image.size_bytes,
            graph_driver=self._graph_driver(image),
            root_fs=RootFSSummary(layers=image.diff_ids),
            metadata=ImageMetadata(last_tag_time=self._names.last_named(image.id) or ZERO_TIME),
        )

    async def history(self, name: str) -> list[HistoryItem]:
        """GET /images/{name}/history, newest step first. Raises as `resolve` does."""
        image = await self.resolve(name)
        sizes = await self._run(partial(self._layer_sizes, image.diff_ids))
        return listing.history(self._listed_one(image), sizes)

    async def disk_usage(self) -> ImagesDiskUsage:
        """The images' share of GET /system/df."""
        images = await self.summaries(shared_size=True, containers=True)
        sizes = await self._run(partial(self._layer_sizes, tuple(self._layers)))
        return ImagesDiskUsage(tuple(images), sum(sizes))

    # Registries

    def pull(
        self, reference: str, auth: RegistryAuth | None = None, platform: Platform | None = None
    ) -> AsyncIterator[Progress]:
        """Fetch and unpack an image; closing the iterator ends the transfer.

        `reference` without tag or digest means `latest`. Pulls of one name at the same time are
        one transfer. Raises, before the first line when the registry refuses: NotFound (manifest
        unknown, pull access denied), Forbidden (credentials), RegistryError (cannot be reached,
        time-out), InvalidArgument (a name or blob that is not what it should be).
        """
        wanted = parse_reference(reference).with_default_tag()
        work = partial(self._pull, wanted, auth, platform or host_platform())
        return self._pulls.watch((wanted, auth, platform), work)

    async def _pull(
        self, wanted: Reference, auth: RegistryAuth | None, platform: Platform, report: Report
    ) -> None:
        async with self._transfers:
            remote = await find(self._registries, wanted, auth, platform)
            report(Progress(f"Pulling from {wanted.path}", wanted.tag or wanted.digest))
            there = remote.image_id in self._records
            if not there:
                await self._fetch(remote, auth, report)
        names = [wanted.with_digest(remote.digest), wanted]
        await self._names.point(names, remote.image_id, utc_now())
        report(Progress(f"Digest: {remote.digest}"))
        outcome = "Image is up to date" if there else "Downloaded newer image"
        report(Progress(f"Status: {outcome} for {wanted.familiar}"))
        self._on_event("pull", remote.image_id, wanted.familiar)

    async def _fetch(self, remote: Remote, auth: RegistryAuth | None, report: Report) -> None:
        document = await fetch_document(self._registries, remote, auth)
        diff_ids = parse_document(document).rootfs.diff_ids
        async with self._making(diff_ids):
            await fetch_layers(self._registries, self._layers, remote, diff_ids, auth, report)
            await self._put(document)

    async def distribution_inspect(
        self, reference: str, auth: RegistryAuth | None = None
    ) -> DistributionInspect:
        """What the registry has under `reference`; nothing is stored. Errors as in `pull`."""
        wanted = parse_reference(reference).with_default_tag()
        content = await self._registries.manifest(wanted, auth)
        manifest = parse_manifest(content)
        digest = sha256_digest(content)
        if isinstance(manifest, ManifestList):
            platforms = [m.platform for m in manifest.manifests if m.platform]
        else:
            config = await self._registries.config(wanted.with_digest(digest), auth)
            document = parse_document(config)
            platforms = [Platform(document.architecture, document.os, document.variant)]
        return DistributionInspect(
            descriptor=Descriptor(media_type(content), digest, len(content)),
            platforms=tuple(platforms),
        )

    # Archives

    async def load(self, archive: AsyncIterable[bytes]) -> list[LoadedImage]:
        """Take in a `docker save` or OCI archive (plain, gzip, zstd, xz or bzip2); all or nothing.

        Raises InvalidArgument when it is corrupt, hostile or holds no image.
        """
        async with self._spooled(archive) as path:
            await self._run(partial(spool.expand, path, self._limits.plain_bytes))
            reader = await self._run(partial(ImageArchive, path))
            images = await self._run(reader.images)
            wanted = {layer.diff_id: layer for image in images for layer in image.layers}
            async with self._making(wanted):
                async with _one_error(), asyncio.TaskGroup() as unpacking:
                    for layer in wanted.values():
                        unpacking.create_task(self._take_layer(reader, layer))
                return [await self._take_image(image) for image in images]

    async def _take_layer(self, reader: ImageArchive, layer: ArchivedLayer) -> None:
        if layer.diff_id in self._layers:
            return
        blob = self._layers.scratch("blob")
        try:
            digest = await self._run(partial(reader.copy, layer, blob))
            await self._layers.add(layer.diff_id, blob, digest)
        finally:
            blob.unlink(missing_ok=True)

    async def _take_image(self, archived: ArchivedImage) -> LoadedImage:
        image = await self._put(archived.document)
        await self._names.point(archived.names, image.id, utc_now())
        names = tuple(name.familiar for name in archived.names)
        self._on_event("load", image.id, names[0] if names else image.id)
        return LoadedImage(image.id, names)

    async def save(self, names: Collection[str]) -> AsyncIterator[bytes]:
        """A `docker load`-able archive, which is an OCI layout too. Await gives the stream:
        unknown names raise NotFound before it starts."""
        chosen: dict[str, list[Reference]] = {}
        for name in names:
            image_id, asked = self._locate(name)
            tags = [asked] if asked and asked.tag else []
            chosen.setdefault(image_id, []).extend(tags)
        exported = [await self._exported(image_id, tags) for image_id, tags in chosen.items()]
        return self._save(exported, tuple(chosen))

    async def _exported(self, image_id: str, tags: list[Reference]) -> export.ExportedImage:
        image = await self._records.get(image_id)
        document = await self._run(partial(self._records.document, image_id))
        return export.ExportedImage(document, image.diff_ids, tuple(dict.fromkeys(tags)))

    async def _save(
        self, exported: Sequence[export.ExportedImage], image_ids: Sequence[str]
    ) -> AsyncIterator[bytes]:
        with self._holding(image_ids):
            async for chunk in spool.stream(export.archive(exported, self._layers)):
                yield chunk

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
        names = [_tag_reference(name)] if name else []
        config = apply_changes(ImageConfig(), changes)
        async with self._spooled(rootfs) as path:
            digest = await self._run(partial(_file_digest, path))
            async with self._layers.adding(path, digest) as diff_id:
                now = utc_now()
                document = _imported(diff_id, config, platform or host_platform(), message, now)
                image = await self._put(msgspec.json.encode(document))
        await self._names.point(names, image.id, utc_now())
        self._on_event("import", image.id, name or image.id)
        return image.id

    # Names

    async def tag(self, source: str, name: str) -> None:
        """Point `name` (tag `latest` when it has none) at an image."""
        image_id, _ = self._locate(source)
        reference = _tag_reference(name)
        with self._records.hold(image_id):
            await self._names.point([reference], image_id, utc_now())
        self._on_event("tag", image_id, reference.familiar)

    async def remove(self, name: str, *, force: bool = False) -> list[ImageDeletion]:
        """Untag, and delete with the last name. Raises NotFound, or Conflict in docker's words."""
        async with self._removing:
            image = await self.resolve(name)
            image_id, asked = self._locate(name)
            users = [user for user in self._users() if user.image_id == image_id]
            names = self._names.of(image_id)
            plan = plan_removal(image_id, names, asked, users, force)
            if plan.delete and self._records.is_held(image_id):
                raise Conflict(
                    f"conflict: unable to delete {short_id(image_id)} (cannot be forced) - "
                    "something is being made from it: try again"
                )
            if not plan.delete:
                return await self._untag(image_id, plan.untag)
            deletions, _ = await self._delete([image])
            return deletions

    async def prune(self, filters: Filters | None = None) -> ImagesPruned:
        """Delete unused images: dangling ones, or with `dangling=false` all. Filters: dangling,
        label, label!, until."""
        wanted = check_filters(filters, listing.PRUNE_FILTERS)
        tagged_too = flag(wanted, "dangling") is False
        wanted.pop("dangling", None)
        async with self._removing:
            listed = await self._listed()
            used = {user.image_id for user in self._users()}
            doomed = [
                item.image
                for item in listing.select(listed, wanted, utc_now())
                if item.image.id not in used
                and not self._records.is_held(item.image.id)
                and (tagged_too or not item.tags)
            ]
            deletions, freed_bytes = await self._delete(doomed)
        return ImagesPruned(images_deleted=tuple(deletions), space_reclaimed=freed_bytes)

    async def _untag(self, image_id: str, names: Collection[Reference]) -> list[ImageDeletion]:
        await self._names.drop(names)
        for name in names:
            self._on_event("untag", image_id, name.familiar)
        return [ImageDeletion(untagged=name.familiar) for name in names]

    async def _delete(self, images: Sequence[Image]) -> tuple[list[ImageDeletion], int]:
        """Delete images with their names, and the layers that nobody else has.

        Nothing is awaited before they are forgotten: what the caller checked still holds then.
        """
        for image in images:
            self._records.forget(image.id)
        deletions = []
        for image in images:
            deletions += await self._untag(image.id, self._names.of(image.id))
            await self._records.delete(image.id)
            self._on_event("delete", image.id, image.id)
        freed = await self._sweep()
        for image in images:
            deletions.append(ImageDeletion(deleted=image.id))
            chain = zip(_chain_ids(image.diff_ids), image.diff_ids, strict=True)
            gone = [chain_id for chain_id, diff_id in chain if diff_id in freed]
            deletions += [ImageDeletion(deleted=chain_id) for chain_id in reversed(gone)]
        return deletions, sum(freed.values())

    # Shared by the above

    def _locate(self, name: str) -> tuple[str, Reference | None]:
        """The id of the named image, and the reference that named it (None: it was named by id)."""
        reference = None
        if not re.fullmatch(r"(?:sha256:)?[0-9a-f]{64}", name):
            reference = parse_reference(name).with_default_tag()
            if reference.digest:
                reference = reference.with_digest(reference.digest)
            image_id = self._names.find(reference)
            if image_id and image_id in self._records:
                return image_id, reference
        if _ID.fullmatch(name):
            matches = self._records.search(name)
            if len(matches) == 1:
                return matches[0], None
            if matches:
                raise InvalidArgument(f"{name} is ambiguous: {len(matches)} images begin with it")
        raise NotFound(f"No such image: {reference.familiar if reference else name}")

    async def _put(self, document: bytes) -> Image:
        """Store an image whose layers are here and held."""
        diff_ids = parse_document(document).rootfs.diff_ids
        sizes = await self._run(partial(self._layer_sizes, diff_ids))
        return await self._records.put(document, sum(sizes), utc_now())

    async def _listed(self) -> list[Listed]:
        return [self._listed_one(image) for image in await self._records.all()]

    def _listed_one(self, image: Image) -> Listed:
        return Listed(image, tuple(self._names.of(image.id)))

    async def _created(
        self, names: Collection[str], choose: Callable[[Iterable[datetime]], datetime]
    ) -> datetime | None:
        moments = [(await self.resolve(n)).document.created or ZERO_TIME for n in names]
        return choose(moments) if moments else None

    async def _shared_sizes(self, listed: Sequence[Listed]) -> dict[str, int]:
        """Bytes in layers that other images have too, by image id."""
        owners = Counter(d for item in listed for d in set(item.image.diff_ids))
        common = [diff_id for diff_id, count in owners.items() if count > 1]
        sizes = await self._run(partial(self._layer_sizes, common))
        shared = dict(zip(common, sizes, strict=True))
        return {
            item.image.id: sum(shared.get(d, 0) for d in item.image.diff_ids) for item in listed
        }

    def _layer_sizes(self, diff_ids: Iterable[str]) -> list[int]:
        return [self._layers.record(diff_id).size_bytes for diff_id in diff_ids]

    def _graph_driver(self, image: Image) -> GraphDriver:
        *lower, upper = [str(self._layers.diff(diff_id)) for diff_id in image.diff_ids] or [""]
        data = {"UpperDir": upper} | ({"LowerDir": ":".join(reversed(lower))} if lower else {})
        return GraphDriver(data=data)

    async def _sweep(self) -> dict[str, int]:
        claimed = {diff_id for image in await self._records.all() for diff_id in image.diff_ids}
        return await self._layers.sweep(claimed)

    @asynccontextmanager
    async def _making(self, diff_ids: Collection[str]) -> AsyncIterator[None]:
        """Hold layers until their image is stored; what a bad image brought is swept away.

        After a failure of the network they stay for the next try.
        """
        try:
            with self._layers.hold(diff_ids):
                yield
        except InvalidArgument:
            await self._sweep()
            raise

    @contextmanager
    def _holding(self, image_ids: Sequence[str]) -> Iterator[None]:
        if not image_ids:
            yield
            return
        with self._records.hold(image_ids[0]), self._holding(image_ids[1:]):
            yield

    @asynccontextmanager
    async def _spooled(self, stream: AsyncIterable[bytes]) -> AsyncIterator[Path]:
        """A stream as a file in tmp/ for as long as the block lasts."""
        path = self._layers.scratch("upload")
        try:
            await spool.spool(stream, path)
            yield path
        finally:
            path.unlink(missing_ok=True)

    async def _run(self, work: Callable[[], T]) -> T:
        """Long file work, in threads of our own: it must not use up those that starts need."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, work)


@asynccontextmanager
async def _one_error() -> AsyncIterator[None]:
    """The first error of a task group, bare."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise first_error(group) from None


def _tag_reference(name: str) -> Reference:
    reference = parse_reference(name).with_default_tag()
    if reference.digest:
        raise InvalidArgument("refusing to create a tag with a digest reference")
    return reference


def _imported(
    diff_id: str, config: ImageConfig, platform: Platform, message: str, now: datetime
) -> ImageDocument:
    step = HistoryEntry(created=now, comment=message or "Imported from -")
    return ImageDocument(
        architecture=platform.architecture,
        os=platform.os,
        variant=platform.variant,
        rootfs=RootFS((diff_id,)),
        config=config,
        created=now,
        comment=step.comment,
        history=(step,),
    )


def _chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """OCI's names for each layer together with all below it, lowest first."""
    chain = list(diff_ids[:1])
    for diff_id in diff_ids[1:]:
        chain.append(sha256_digest(f"{chain[-1]} {diff_id}".encode()))
    return chain


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
