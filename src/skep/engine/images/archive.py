"""Reading image archives: `docker save`'s, and OCI layouts in a tar.

An archive is never extracted. Its members are found by name inside the file and copied by offset,
so whatever names it holds, nothing is written anywhere because of them.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import msgspec

from skep.engine.images.compression import CHUNK_BYTES
from skep.engine.images.documents import parse_document
from skep.engine.images.manifests import (
    MAX_LAYERS,
    Manifest,
    ManifestList,
    choose,
    host_platform,
    parse_manifest,
)
from skep.kit.errors import UNDECODABLE, InvalidArgument
from skep.model.image import Descriptor
from skep.model.reference import Reference, parse_reference

_MAX_MEMBERS = 50_000
_MAX_HEADER_BYTES = 1 << 20
_MAX_DOCUMENT_BYTES = 8 << 20
_MAX_LINK_HOPS = 4
_MAX_INDEX_DEPTH = 4
_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


class ArchivedLayer(msgspec.Struct, frozen=True):
    """Where a layer's archive lies, and the digests that it must have."""

    member: str
    diff_id: str
    blob_digest: str = ""
    """Empty when the archive does not say (docker's layout)."""


class ArchivedImage(msgspec.Struct, frozen=True):
    """An image in an archive."""

    document: bytes
    layers: tuple[ArchivedLayer, ...]
    names: tuple[Reference, ...]


class ImageArchive:
    """An archive file, indexed. Blocking; `copy` may be called from several threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._members = _index(path)

    def images(self) -> list[ArchivedImage]:
        """Everything in the archive for this machine; raises InvalidArgument when it is malformed.

        `manifest.json` decides where there is one: docker writes both layouts into one archive.
        """
        if "manifest.json" in self._members:
            return self._docker_images()
        if "index.json" in self._members:
            return self._oci_images()
        raise InvalidArgument(
            "unrecognized image format: the archive has neither manifest.json nor index.json"
        )

    def copy(self, layer: ArchivedLayer, target: Path) -> str:
        """Copy a layer's archive to `target`; returns its digest. Raises InvalidArgument when it
        is not the one stated."""
        digest = hashlib.sha256()
        with target.open("xb") as file:
            for chunk in self._chunks(layer.member):
                digest.update(chunk)
                file.write(chunk)
        name = f"sha256:{digest.hexdigest()}"
        if layer.blob_digest not in ("", name):
            raise InvalidArgument(f"layer verification failed for digest {layer.blob_digest}")
        return name

    def _docker_images(self) -> list[ArchivedImage]:
        entries = _docker_entries(self._read("manifest.json"))
        return [self._docker_image(entry) for entry in entries]

    def _docker_image(self, entry: _DockerEntry) -> ArchivedImage:
        document = self._read(entry.config)
        names = tuple(parse_reference(name).with_default_tag() for name in entry.repo_tags or ())
        return _image(document, [(member, "") for member in entry.layers or ()], names)

    def _oci_images(self) -> list[ArchivedImage]:
        index = parse_manifest(self._read("index.json"))
        if not isinstance(index, ManifestList) or not index.manifests:
            raise InvalidArgument("invalid archive: index.json names no image")
        return [self._oci_image(descriptor, 0) for descriptor in index.manifests]

    def _oci_image(self, descriptor: Descriptor, depth: int) -> ArchivedImage:
        manifest = parse_manifest(self._read_blob(descriptor.digest))
        if isinstance(manifest, Manifest):
            layers = [(_blob_name(layer.digest), layer.digest) for layer in manifest.layers]
            return _image(self._read_blob(manifest.config.digest), layers, _names(descriptor))
        if depth >= _MAX_INDEX_DEPTH:
            raise InvalidArgument("invalid archive: indexes are nested too deeply")
        chosen = self._oci_image(choose(manifest.manifests, host_platform()), depth + 1)
        return msgspec.structs.replace(chosen, names=_names(descriptor) or chosen.names)

    def _read_blob(self, digest: str) -> bytes:
        content = self._read(_blob_name(digest))
        algorithm, _, value = digest.partition(":")
        if hashlib.new(algorithm, content).hexdigest() != value:
            raise InvalidArgument(f"content verification failed for digest {digest}")
        return content

    def _read(self, member: str) -> bytes:
        _, size = self._find(member)
        if size > _MAX_DOCUMENT_BYTES:
            raise InvalidArgument(f"invalid archive: {member} is too large for what it is")
        return b"".join(self._chunks(member))

    def _chunks(self, member: str) -> Iterator[bytes]:
        offset, size = self._find(member)
        with self._path.open("rb") as file:
            while size:
                chunk = os.pread(file.fileno(), min(size, CHUNK_BYTES), offset)
                if not chunk:
                    raise InvalidArgument(f"invalid archive: {member} ends early")
                yield chunk
                offset += len(chunk)
                size -= len(chunk)

    def _find(self, member: str) -> tuple[int, int]:
        """(offset, size) of a member; old `docker save`s link a layer that two images share."""
        name = posixpath.normpath(member)
        for _ in range(_MAX_LINK_HOPS):
            place = self._members.get(name)
            if place is None:
                break
            if not isinstance(place, str):
                return place
            name = place
        raise InvalidArgument(f"invalid archive: {member} is missing")


class _DockerEntry(msgspec.Struct, frozen=True, rename="pascal"):
    config: str
    repo_tags: tuple[str, ...] | None = None
    layers: tuple[str, ...] | None = None


_ENTRIES = msgspec.json.Decoder(list[_DockerEntry])
"""Made once, before threads read with it: see containers/record.py."""


class _Headers:
    """A file for tarfile that refuses the long reads a hostile header asks for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > _MAX_HEADER_BYTES:
            raise InvalidArgument("invalid archive: a header is too large")
        return self._file.read(size)


def _index(path: Path) -> dict[str, tuple[int, int] | str]:
    """Members by normalised name: where a file's bytes lie, or the name that a link stands for."""
    members: dict[str, tuple[int, int] | str] = {}
    try:
        with path.open("rb") as file:
            headers = cast("IO[bytes]", _Headers(file))
            with tarfile.open(fileobj=headers, mode="r:") as archive:
                for count, member in enumerate(archive):
                    if count >= _MAX_MEMBERS:
                        raise InvalidArgument(f"archive has more than {_MAX_MEMBERS} files")
                    if member.size < 0 or member.offset_data < 0:
                        raise InvalidArgument("invalid archive: a size in it is negative")
                    _add_member(members, member)
    except (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError) as error:
        raise InvalidArgument(f"invalid archive: {error}") from None
    return members


def _add_member(members: dict[str, tuple[int, int] | str], member: tarfile.TarInfo) -> None:
    name = posixpath.normpath(member.name)
    if member.issym():
        members[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
    elif member.islnk():
        members[name] = posixpath.normpath(member.linkname)
    elif member.isreg() and not member.issparse():
        members[name] = (member.offset_data, member.size)


def _image(
    document: bytes, layers: list[tuple[str, str]], names: tuple[Reference, ...]
) -> ArchivedImage:
    diff_ids = parse_document(document).diff_ids
    if len(layers) != len(diff_ids) or len(layers) > MAX_LAYERS:
        raise InvalidArgument(
            f"invalid manifest, layers length mismatch: expected {len(diff_ids)}, got {len(layers)}"
        )
    pairs = zip(layers, diff_ids, strict=True)
    archived = tuple(ArchivedLayer(member, diff_id, digest) for (member, digest), diff_id in pairs)
    return ArchivedImage(document, archived, names)


def _names(descriptor: Descriptor) -> tuple[Reference, ...]:
    """The name that an index gives an image; a bare tag is nobody's name."""
    annotations = descriptor.annotations or {}
    for key in _NAME_ANNOTATIONS:
        name = annotations.get(key, "")
        if ":" in name or "/" in name:
            return (parse_reference(name).with_default_tag(),)
    return ()


def _blob_name(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _docker_entries(content: bytes) -> list[_DockerEntry]:
    try:
        return _ENTRIES.decode(content)
    except UNDECODABLE as error:
        raise InvalidArgument(f"invalid manifest.json: {error}") from None
