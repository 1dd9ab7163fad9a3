"""Which names point at which image: `<root>/names.json`, written whole, read once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from skep.kit.errors import UNDECODABLE, SkepError
from skep.kit.files import reason_of, set_aside, write_atomically
from skep.model.bounds import Moment
from skep.model.reference import Reference, parse_reference


class Target(msgspec.Struct, frozen=True):
    """What a name points at, and since when."""

    image_id: str
    named_at: Moment


_TARGET = msgspec.json.Decoder(Target)


class NameTable:
    """Tags (`repo:tag`) and digests (`repo@sha256:…`) -> image ids."""

    def __init__(self, root: Path) -> None:
        self._path = root / "names.json"
        self._targets: dict[Reference, Target] = {}
        self._by_image: dict[str, set[Reference]] = {}
        self._writing = asyncio.Lock()

    def open(self, is_image: Callable[[str], bool]) -> None:
        """Read the names; those of images that a crash took in a remove drop out. What cannot be
        read is set aside: its images are there, and have no names. Blocking."""
        if not self._path.exists():
            return
        stored, problem = self._read()
        if problem:
            set_aside(self._path, problem, "the images that it named can be tagged again")
            write_atomically(self._path, _encoded(stored))
        self._adopt({r: target for r, target in stored.items() if is_image(target.image_id)})

    def _read(self) -> tuple[dict[Reference, Target], str]:
        """The names that can be read, and what is wrong with the others."""
        found: dict[Reference, Target] = {}
        problem = ""
        try:
            stored = msgspec.json.decode(self._path.read_bytes(), type=dict[str, msgspec.Raw])
        except (OSError, *UNDECODABLE) as error:
            return found, reason_of(error)
        for name, raw in stored.items():
            try:
                found[parse_reference(name)] = _TARGET.decode(raw)
            except (SkepError, *UNDECODABLE) as error:
                problem = f"{name!r}: {error}"
        return found, problem

    def find(self, reference: Reference) -> str | None:
        """The id of the image that `reference` names."""
        target = self._targets.get(reference.sought())
        return target.image_id if target else None

    def of(self, image_id: str) -> list[Reference]:
        """All names of an image, sorted, tags before digests."""
        return sorted(self._by_image.get(image_id, ()), key=lambda r: (r.digest, r))

    def last_named(self, image_id: str) -> datetime | None:
        """When the image got its newest tag."""
        moments = [self._targets[r].named_at for r in self._by_image.get(image_id, ()) if r.tag]
        return max(moments, default=None)

    async def point(
        self, references: Collection[Reference], image_id: str, now: datetime
    ) -> list[Reference]:
        """Make names point at an image; returns those that did not before. On disk when it ends."""
        async with self._writing:
            fresh = [r for r in references if self.find(r) != image_id]
            if fresh:
                targets = self._targets | dict.fromkeys(fresh, Target(image_id, now))
                await self._commit(targets)
            return fresh

    async def drop(self, references: Collection[Reference]) -> None:
        """Forget names. On disk when it ends."""
        async with self._writing:
            kept = {r: target for r, target in self._targets.items() if r not in references}
            if len(kept) != len(self._targets):
                await self._commit(kept)

    async def _commit(self, targets: dict[Reference, Target]) -> None:
        await asyncio.to_thread(write_atomically, self._path, _encoded(targets))
        self._adopt(targets)

    def _adopt(self, targets: dict[Reference, Target]) -> None:
        self._targets = targets
        self._by_image = {}
        for reference, target in targets.items():
            self._by_image.setdefault(target.image_id, set()).add(reference)


def _encoded(targets: Mapping[Reference, Target]) -> bytes:
    return msgspec.json.encode({str(r): target for r, target in targets.items()})
