"""One transfer: from a name to layers on disk, each unpacked as soon as it has arrived."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from skep.engine.images.broadcast import Report
from skep.engine.images.layers import LayerStore
from skep.engine.images.manifests import (
    Manifest,
    ManifestList,
    choose,
    parse_manifest,
    sha256_digest,
)
from skep.engine.images.registry import Registries, RegistryError
from skep.kit.errors import InvalidArgument
from skep.kit.files import remove_trees
from skep.model.image import AuthConfig, Descriptor, Platform, Progress, ProgressDetail
from skep.model.reference import Reference

_POLL_S = 0.03
_STALL_S = 120
_SHORT_DIGEST_CHARS = 12
_DRAFT_PREFIX = "oci-put-blob"
"""How skopeo calls the files of blobs that are still arriving."""


class Remote(msgspec.Struct, frozen=True):
    """An image in a registry, found by name: pinned by digests from here on."""

    reference: Reference
    """`repo@digest` of the platform's own manifest."""
    digest: str
    """What the name points at: the digest of the list, where there is one."""
    manifest: Manifest

    @property
    def image_id(self) -> str:
        return self.manifest.config.digest


class Layer(msgspec.Struct, frozen=True):
    """A layer to have: its archive in the registry and its name here."""

    blob: Descriptor
    diff_id: str

    @property
    def short(self) -> str:
        return self.blob.digest.partition(":")[2][:_SHORT_DIGEST_CHARS]


async def find(
    registries: Registries, reference: Reference, auth: AuthConfig | None, platform: Platform
) -> Remote:
    """Ask the registry what a name means for a platform."""
    content = await _manifest(registries, reference, auth)
    digest = sha256_digest(content)
    manifest = parse_manifest(content)
    pinned = reference.with_digest(digest)
    if isinstance(manifest, ManifestList):
        chosen = choose(manifest.manifests, platform)
        pinned = reference.with_digest(chosen.digest)
        manifest = parse_manifest(await _manifest(registries, pinned, auth))
    if isinstance(manifest, ManifestList):
        raise InvalidArgument(f"{reference.familiar}: a manifest list inside a manifest list")
    return Remote(pinned, digest, manifest)


async def _manifest(registries: Registries, reference: Reference, auth: AuthConfig | None) -> bytes:
    content = await registries.manifest(reference, auth)
    if reference.digest and sha256_digest(content) != reference.digest:
        raise InvalidArgument(f"manifest verification failed for digest {reference.digest}")
    return content


async def fetch_document(registries: Registries, remote: Remote, auth: AuthConfig | None) -> bytes:
    """The image's config document, checked against its digest."""
    document = await registries.config(remote.reference, auth)
    if sha256_digest(document) != remote.image_id:
        raise InvalidArgument(f"image verification failed for digest {remote.image_id}")
    return document


async def fetch_layers(
    registries: Registries,
    layers: LayerStore,
    remote: Remote,
    diff_ids: Sequence[str],
    auth: AuthConfig | None,
    report: Report,
) -> None:
    """Bring an image's layers here; the caller holds them.

    Raises InvalidArgument for whatever is not what its digest says.
    """
    wanted = _pair(remote.manifest, diff_ids)
    for layer in wanted:
        there = layer.diff_id in layers
        report(Progress("Already exists" if there else "Pulling fs layer", layer.short))
    if any(layer.diff_id not in layers for layer in wanted):
        await _Transfer(registries, layers, remote, auth, wanted, report).run()


def _pair(manifest: Manifest, diff_ids: Sequence[str]) -> list[Layer]:
    """Each layer once, lowest first."""
    if len(manifest.layers) != len(diff_ids):
        raise InvalidArgument(
            f"invalid image: {len(manifest.layers)} layers, its config says {len(diff_ids)}"
        )
    pairs = {d: Layer(blob, d) for blob, d in zip(manifest.layers, diff_ids, strict=True)}
    return list(pairs.values())


class _Transfer:
    """One skopeo process that brings blobs, and the layers unpacked from them as they come."""

    def __init__(
        self,
        registries: Registries,
        layers: LayerStore,
        remote: Remote,
        auth: AuthConfig | None,
        wanted: Sequence[Layer],
        report: Report,
    ) -> None:
        self._registries = registries
        self._layers = layers
        self._remote = remote
        self._auth = auth
        self._wanted = wanted
        self._report = report
        self._folder = layers.scratch("pull")
        self._layout = self._folder / "layout"
        self._blobs = self._folder / "blobs"
        self._waiting = [layer for layer in wanted if layer.diff_id not in layers]
        self._drafts: list[str] = []

    async def run(self) -> None:
        await asyncio.to_thread(self._prepare)
        try:
            async with (
                one_error(),
                self._registries.copying(
                    self._remote.reference, self._auth, self._layout, self._blobs
                ) as skopeo,
                asyncio.TaskGroup() as unpacking,
            ):
                arrival = unpacking.create_task(self._watch(unpacking))
                await skopeo.success()
                arrival.cancel()
                self._take_arrived(unpacking)
                if self._waiting:
                    raise RegistryError(f"layer {self._waiting[0].blob.digest} did not arrive")
        finally:
            await asyncio.to_thread(remove_trees, [self._folder])

    def _prepare(self) -> None:
        """Lay out what is here already, so that it is not transferred again. Blocking."""
        shared = self._blobs / "sha256"
        shared.mkdir(parents=True)
        for layer in self._wanted:
            if layer.diff_id in self._layers:
                record = self._layers.record(layer.diff_id)
                if record.blob_digest == layer.blob.digest:
                    os.link(self._layers.blob(layer.diff_id), self._path(layer))

    def _path(self, layer: Layer) -> Path:
        return self._blobs / "sha256" / layer.blob.digest.removeprefix("sha256:")

    async def _watch(self, unpacking: asyncio.TaskGroup) -> None:
        """Take layers as they arrive, tell of the bytes, give up when none come any more."""
        loop = asyncio.get_running_loop()
        seen_bytes, moved_at = -1, loop.time()
        while self._waiting:
            self._take_arrived(unpacking)
            arriving = await asyncio.to_thread(self._arriving_bytes)
            for layer, current in zip(self._waiting, arriving, strict=False):
                total = layer.blob.size
                detail = ProgressDetail(min(current, total), total)
                self._report(Progress("Downloading", layer.short, detail))
            if sum(arriving) != seen_bytes:
                seen_bytes, moved_at = sum(arriving), loop.time()
            elif loop.time() - moved_at > _STALL_S:
                raise RegistryError(f"{self._remote.reference.domain}: no data for {_STALL_S} s")
            await asyncio.sleep(_POLL_S)

    def _arriving_bytes(self) -> list[int]:
        """Sizes of the blobs on their way, those seen first in front. Blocking.

        skopeo does not say which is which, but begins them in the manifest's order.
        """
        present = {}
        for draft in self._layout.glob(f"{_DRAFT_PREFIX}*"):
            with suppress(FileNotFoundError):  # it has arrived since
                present[draft.name] = draft.stat().st_size
        self._drafts = [name for name in self._drafts if name in present]
        self._drafts += [name for name in present if name not in self._drafts]
        return [present[name] for name in self._drafts]

    def _take_arrived(self, unpacking: asyncio.TaskGroup) -> None:
        for layer in [layer for layer in self._waiting if self._path(layer).exists()]:
            self._waiting.remove(layer)
            unpacking.create_task(self._unpack(layer))

    async def _unpack(self, layer: Layer) -> None:
        self._report(Progress("Download complete", layer.short))
        blob = self._layers.scratch("blob")
        os.link(self._path(layer), blob)
        try:
            self._report(Progress("Extracting", layer.short))
            await self._layers.add(layer.diff_id, blob, layer.blob.digest)
        finally:
            blob.unlink(missing_ok=True)
        self._report(Progress("Pull complete", layer.short))


@asynccontextmanager
async def one_error() -> AsyncIterator[None]:
    """Around a task group: one cause is enough for a person, the others are its echoes."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
