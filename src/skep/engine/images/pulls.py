"""Pulls as the store offers them: names in, stored images and docker's progress lines out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from functools import partial

from skep.engine.images.broadcast import Report, SharedWork, Work
from skep.engine.images.documents import parse_document
from skep.engine.images.manifests import (
    ManifestList,
    host_platform,
    media_type,
    parse_manifest,
    sha256_digest,
)
from skep.engine.images.registry import Registries
from skep.engine.images.shelf import Shelf
from skep.engine.images.transfer import Remote, fetch_document, fetch_layers, find
from skep.kit.clock import utc_now
from skep.model.image import AuthConfig, Descriptor, DistributionInspect, Platform, Progress
from skep.model.reference import Reference, parse_reference

_MAX_TRANSFERS = 3


class Pulls:
    """This node's traffic with registries, a few transfers at a time."""

    def __init__(self, shelf: Shelf, registries: Registries) -> None:
        self._shelf = shelf
        self._registries = registries
        self._shared = SharedWork()
        self._transfers = asyncio.Semaphore(_MAX_TRANSFERS)

    async def close(self) -> None:
        await self._shared.close()

    def pull(
        self, reference: str, auth: AuthConfig | None, platform: Platform | None
    ) -> AsyncIterator[Progress]:
        return self._shared.watch(*self._work(reference, auth, platform))

    async def fetch(self, reference: str, auth: AuthConfig | None) -> None:
        await self._shared.finish(*self._work(reference, auth, None))

    def _work(
        self, reference: str, auth: AuthConfig | None, platform: Platform | None
    ) -> tuple[Hashable, Work]:
        """The pull, and by what it is the same as another."""
        wanted = parse_reference(reference).sought()
        work = partial(self._pull, wanted, auth, platform or host_platform())
        return (wanted, auth, platform), work

    async def _pull(
        self, wanted: Reference, auth: AuthConfig | None, platform: Platform, report: Report
    ) -> None:
        async with self._transfers:
            remote = await find(self._registries, wanted, auth, platform)
            report(Progress(f"Pulling from {wanted.path}", wanted.tag or wanted.digest))
            there = remote.image_id in self._shelf.records
            if not there:
                await self._fetch(remote, auth, report)
        names = [wanted.with_digest(remote.digest), wanted]
        await self._shelf.names.point(names, remote.image_id, utc_now())
        report(Progress(f"Digest: {remote.digest}"))
        outcome = "Image is up to date" if there else "Downloaded newer image"
        report(Progress(f"Status: {outcome} for {wanted.familiar}"))
        self._shelf.on_event("pull", remote.image_id, wanted.familiar)

    async def _fetch(self, remote: Remote, auth: AuthConfig | None, report: Report) -> None:
        document = await fetch_document(self._registries, remote, auth)
        diff_ids = parse_document(document).diff_ids
        layers = self._shelf.layers
        async with self._shelf.making(diff_ids):
            await fetch_layers(self._registries, layers, remote, diff_ids, auth, report)
            await self._shelf.put(document)

    async def login(self, auth: AuthConfig) -> None:
        await self._registries.login(auth)

    async def distribution_inspect(
        self, reference: str, auth: AuthConfig | None
    ) -> DistributionInspect:
        wanted = parse_reference(reference).sought()
        content = await self._registries.manifest(wanted, auth)
        digest = sha256_digest(content)
        manifest = parse_manifest(content)
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
