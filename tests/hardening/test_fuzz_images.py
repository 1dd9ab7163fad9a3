"""Archives of images under seeded damage, into load and import: docker's layout and OCI's, odd
values in their JSON, bent tars, names that lead outside, garbage in compression, sizes that lie.

Whatever it is, it is stored or refused with a sentence, in bounded time; nothing outside of the
store is touched, nothing half made stays in it, and every list goes on working.
SKEP_FUZZ=2000 tries so many (and SKEP_FUZZ_SEED others).
"""

from __future__ import annotations

import asyncio
import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import tarfile
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import inspect

from skep.engine.images import ImageStore
from skep.engine.images.unpack import Limits
from skep.kit.errors import InvalidArgument, SkepError
from skep.model.image import Descriptor, ImageDocument
from skep.testing.bodies import NOT_JSON, Bodies

COUNT = int(os.environ.get("SKEP_FUZZ", "50"))
SEED = int(os.environ.get("SKEP_FUZZ_SEED", "7"))
DEADLINE_S = 10.0
LIMITS = Limits(plain_bytes=4 << 20, entries=500)
KINDS = (
    tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE,
    tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE, tarfile.AREGTYPE, tarfile.CONTTYPE, b"Z",
)  # fmt: skip


class Archives:
    """Damaged archives, each a function of the seed. `outside` is what they try to reach."""

    def __init__(self, seed: int, outside: Path) -> None:
        self.bodies = Bodies(seed)
        self.dice = self.bodies.dice
        self._outside = outside

    def rootfs(self) -> bytes:
        """For import: one layer, perhaps packed."""
        return self._packed(self._layer())

    def image(self) -> bytes:
        """For load: a whole archive, mostly with digests that fit what they are digests of."""
        layers = [self._layer() for _ in range(self.dice.choice((0, 1, 1, 2, 3)))]
        blobs = [self._packed(layer) for layer in layers]
        config = self._odd_json(self._config(layers), ImageDocument)
        lay_out = self.dice.choice((self._docker, self._oci))
        return self._packed(self._bent(self._tar_of(lay_out(config, blobs))))

    # Documents

    def _config(self, layers: list[bytes]) -> dict[str, Any]:
        diff_ids = [_digest(layer) for layer in layers]
        if self.dice.random() < 0.1:
            diff_ids.append(self.bodies.text())
        return {
            "architecture": "amd64",
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": {"Cmd": ["true"], "Env": ["A=1"], "ExposedPorts": {"80/tcp": {}}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created": "2026-01-01T00:00:00Z"} for _ in layers],
        }

    def _odd_json(self, sound: Any, kind: Any) -> bytes:
        luck = self.dice.random()
        if luck < 0.05:
            return self.dice.choice(NOT_JSON)
        if luck < 0.6 and isinstance(sound, dict):
            return self.bodies.bytes_of(self.bodies.spoiled(sound, kind))
        return json.dumps(sound).encode()

    def _docker(self, config: bytes, blobs: list[bytes]) -> list[tuple[str, bytes]]:
        names = [self._member(f"{number}/layer.tar") for number in range(len(blobs))]
        config_name = self._member(f"{_hex(config)}.json")
        entry: dict[str, Any] = {"Config": config_name, "RepoTags": self._tags(), "Layers": names}
        if self.dice.random() < 0.2:
            entry[self.dice.choice(list(entry))] = self.bodies.value(inspect.AnyType())
        manifest = json.dumps([entry] * self.dice.choice((1, 1, 1, 0, 2))).encode()
        if self.dice.random() < 0.05:
            manifest = self.dice.choice(NOT_JSON)
        files = [(config_name, config), *zip(names, blobs, strict=True)]
        return [*files, ("manifest.json", manifest)]

    def _oci(self, config: bytes, blobs: list[bytes]) -> list[tuple[str, bytes]]:
        manifest = self._odd_json(
            {
                "schemaVersion": 2,
                "config": self._descriptor(config),
                "layers": [self._descriptor(blob) for blob in blobs],
            },
            Descriptor,
        )
        entry = self._descriptor(manifest)
        entry["annotations"] = {"io.containerd.image.name": self.dice.choice(self._tags())}
        index = {"schemaVersion": 2, "manifests": [entry] * self.dice.choice((1, 1, 1, 0, 3))}
        parts = [*blobs, config, manifest]
        if self.dice.random() < 0.2:  # an index inside an index, once even inside itself
            inner = json.dumps(index).encode()
            parts.append(inner)
            index = {"schemaVersion": 2, "manifests": [self._descriptor(inner)]}
        files = [(f"blobs/sha256/{_hex(part)}", part) for part in parts]
        return [*files, ("index.json", self._odd_json(index, Descriptor))]

    def _descriptor(self, content: bytes) -> dict[str, Any]:
        sound: dict[str, Any] = {"digest": _digest(content), "size": len(content)}
        if self.dice.random() < 0.15:
            return self.bodies.spoiled(sound, Descriptor)
        return sound

    def _tags(self) -> list[str]:
        return [self.dice.choice(("odd:1", "odd:2", "a.example/odd", self.bodies.text()))]

    def _member(self, name: str) -> str:
        """The name of a file in an archive: mostly as it should be."""
        return self._path() if self.dice.random() < 0.1 else name

    # Tars

    def _path(self) -> str:
        """A path that may lead anywhere, and if outside of the store, to what we watch."""
        dice = self.dice
        up = "../" * dice.randrange(9)
        return dice.choice((
            "a", "d/f", "d", "d/l/f", ".", "./", "a//b", "d/.wh.f", ".wh..wh..opq", ".wh..wh.aufs",
            ".wh.", ".wh...", "d/.wh..", "d/.wh...", "x" * 300, "y/" * 300 + "z", "ä\n\x1b", "a\\n",
            f"{up}outside/secret", f"{self._outside}/new", f"d/l/{up}outside/new", f"{up}new",
            f"/{self._outside}/secret", "l/new", "l/secret", "s", "s/new",
        ))  # fmt: skip

    def _layer(self) -> bytes:
        files: list[tuple[tarfile.TarInfo, bytes]] = []
        for name in ("d", "d/f", "a"):
            is_folder = name == "d"
            member = _info(name, tarfile.DIRTYPE if is_folder else tarfile.REGTYPE)
            files.append((member, b"" if is_folder else name.encode() * 20))
        for _ in range(self.dice.choice((0, 0, 1, 2, 4))):
            kind = self.dice.choice(KINDS)
            member = _info(self._path(), kind)
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.name = self.dice.choice(("l", "s", "d/l", member.name))
                member.linkname = self.dice.choice((self._path(), str(self._outside)))
            if kind == tarfile.CHRTYPE:
                member.devmajor, member.devminor = 1, 3
            member.mode = self.dice.choice((0o644, 0o755, 0o4755, 0, 0o7777))
            member.uid = self.dice.choice((0, 1000, 2**21, 2**31))
            member.mtime = self.dice.choice((0, 1, 2**31, 2**40, -1))
            content = b"new" if kind == tarfile.REGTYPE else b""
            files.insert(self.dice.randrange(len(files) + 1), (member, content))
        buffer = io.BytesIO()
        form = self.dice.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
        with tarfile.TarFile(fileobj=buffer, mode="w", format=form) as tar:
            for member, content in files:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        text = buffer.getvalue()
        return self._bent(text) if self.dice.random() < 0.3 else text

    def _tar_of(self, files: list[tuple[str, bytes]]) -> bytes:
        if self.dice.random() < 0.2:
            self.dice.shuffle(files)
        if self.dice.random() < 0.1:
            files.append(self.dice.choice(files))
        buffer = io.BytesIO()
        with tarfile.TarFile(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name, content in files:
                member = _info(name, tarfile.REGTYPE)
                if self.dice.random() < 0.05:
                    member.type = self.dice.choice(KINDS)
                    member.linkname = self.dice.choice((name, "manifest.json", self._path()))
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return buffer.getvalue()

    def _bent(self, text: bytes) -> bytes:
        """Headers whose bits flipped (with a checksum that fits, or not), or an early end."""
        luck = self.dice.random()
        if luck < 0.6 or len(text) < 1024:
            return text
        if luck < 0.7:
            return text[: self.dice.randrange(len(text))]
        bent = bytearray(text)
        block = self.dice.randrange(len(bent) // 512) * 512
        if luck < 0.85:
            for _ in range(self.dice.choice((1, 1, 3, 30))):
                bent[block + self.dice.randrange(512)] ^= 1 << self.dice.randrange(8)
        else:  # a size that lies
            sizes = (b"77777777777\0", b"-0000000001\0", b"\x80" + b"\xff" * 11, b"00000000000\0")
            return bytes(_with_size(bent, block, self.dice.choice(sizes)))
        if self.dice.random() < 0.7:
            _sign(bent, block)
        return bytes(bent)

    def _packed(self, text: bytes) -> bytes:
        """Plain, compressed, compressed badly, or a bomb."""
        dice = self.dice
        if dice.random() < 0.6:
            return text
        if dice.random() < 0.05:
            text = bytes(32 << 20)
        pack = dice.choice((_gzipped, bz2.compress, _xzed))
        packed = bytearray(pack(text))
        luck = dice.random()
        if luck < 0.15:
            del packed[dice.randrange(len(packed)) :]
        elif luck < 0.3:
            packed[dice.randrange(len(packed))] ^= 1 << dice.randrange(8)
        elif luck < 0.4:
            packed += dice.choice((b"\0" * 100, b"garbage", _gzipped(b"more"), bytes(packed)))
        elif luck < 0.5:
            start = dice.choice((b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"BZh91AY"))
            packed[: len(start)] = start
        return bytes(packed)


def _with_size(text: bytearray, block: int, size: bytes) -> bytearray:
    """The header at `block` says this size, and has a checksum that fits."""
    text[block + 124 : block + 136] = size
    _sign(text, block)
    return text


def _sign(text: bytearray, block: int) -> None:
    head = text[block : block + 512]
    total = sum(head[:148]) + 8 * 32 + sum(head[156:])
    text[block + 148 : block + 156] = b"%06o\0 " % total


def _gzipped(text: bytes) -> bytes:
    return gzip.compress(text, 1, mtime=0)


def _xzed(text: bytes) -> bytes:
    return lzma.compress(text, preset=0)


def _info(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = kind, 0o755
    return member


def _hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest(content: bytes) -> str:
    return f"sha256:{_hex(content)}"


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1 << 20):
        yield content[start : start + (1 << 20)]


def _seen(folder: Path) -> list[tuple[str, int, int, bytes]]:
    """Everything about what must not change."""
    return [
        (str(path), (found := path.lstat()).st_mode, found.st_mtime_ns,
         path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    ]  # fmt: skip


def _on_disk(root: Path) -> dict[str, list[str]]:
    return {
        name: sorted(path.name for path in (root / name).iterdir())
        for name in ("images", "l", "layers", "tmp")
    }


async def _use(images: ImageStore) -> set[str]:
    """Every list and look at what is stored; the ids."""
    rows = await images.summaries(shared_size=True)
    await images.disk_usage()
    for row in rows:
        await images.inspect(row.id)
        await images.history(row.id)
        assert [piece async for piece in await images.save([row.id])]
    return {row.id for row in rows}


@pytest.mark.parametrize("size", [b"-0000000001\0", b"\x80" + b"\xff" * 11, b"\xff" * 12])
async def test_a_size_below_nothing_is_refused(tmp_path: Path, size: bytes) -> None:
    """Found here: an "internal error"."""
    buffer = io.BytesIO()
    with tarfile.TarFile(fileobj=buffer, mode="w") as tar:
        tar.addfile(_info("manifest.json", tarfile.REGTYPE))
    content = _with_size(bytearray(buffer.getvalue()), 0, size)
    images = ImageStore(tmp_path / "store", limits=LIMITS)
    await images.open()
    with pytest.raises(InvalidArgument, match="invalid archive"):
        await images.load(_pieces(bytes(content)))
    await images.close()


async def test_whatever_an_archive_is(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    before_outside = _seen(outside)
    archives = Archives(SEED, outside)
    root = tmp_path / "deep" / "store"
    images = ImageStore(root, limits=LIMITS)
    await images.open()
    empty = _on_disk(root)
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    try:
        for number in range(COUNT):
            is_load = archives.dice.random() < 0.75
            content = archives.image() if is_load else archives.rootfs()
            began = time.monotonic()
            try:
                async with asyncio.timeout(DEADLINE_S):
                    if is_load:
                        await images.load(_pieces(content))
                    else:
                        await images.import_(_pieces(content), "odd:import")
                outcomes["stored"] += 1
            except SkepError as error:
                assert await _use(images) == set(), number
                outcomes[f"refused: {str(error)[:24]!r}"] += 1
                if error.http_status == 500:
                    failures.append(f"{number}: {error}")
            except Exception as error:
                failures.append(f"{number}: {error!r}: {traceback.format_exc()}")
            if time.monotonic() - began > DEADLINE_S:
                failures.append(f"{number}: slow")
            for image_id in await _use(images):
                await images.remove(image_id, force=True)
            if _seen(outside) != before_outside:
                failures.append(f"{number}: changed what is outside: {_seen(outside)}")
                break
            if (left := _on_disk(root)) != empty:
                failures.append(f"{number}: left in the store: {left}")
                break
            assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "outside"]
    finally:
        await images.close()
    print(*outcomes.most_common(30), sep="\n")
    assert failures == [], "\n".join(failures)
    assert COUNT < 100 or outcomes["stored"] > COUNT / 20
