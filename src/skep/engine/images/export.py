"""Writing image archives: one tar that is docker's layout and an OCI layout at once.

    blobs/sha256/…   config documents, manifests, and layers as plain tars (so digest = diff_id)
    index.json, oci-layout    for OCI readers
    manifest.json             for `docker load`

As docker 25 and later write it.
"""

from __future__ import annotations

import tarfile
from collections.abc import Generator, Sequence
from typing import Any

import msgspec

from skep.engine.images import manifests
from skep.engine.images.compression import plain_chunks
from skep.engine.images.layers import LayerStore
from skep.engine.images.manifests import sha256_digest
from skep.kit.errors import Internal
from skep.model.image import Descriptor
from skep.model.reference import Reference

_RECORD_BYTES = 10240


class ExportedImage(msgspec.Struct, frozen=True):
    """An image to write, under these names (none: without a name)."""

    document: bytes
    diff_ids: tuple[str, ...]
    names: tuple[Reference, ...]


def archive(images: Sequence[ExportedImage], layers: LayerStore) -> Generator[bytes, None, None]:
    """The archive of `images` in chunks. Blocking."""
    written: set[str] = set()
    length = 0
    for chunk in _members(images, layers, written):
        length += len(chunk)
        yield chunk
    yield bytes(2 * tarfile.BLOCKSIZE + -(length + 2 * tarfile.BLOCKSIZE) % _RECORD_BYTES)


def _members(
    images: Sequence[ExportedImage], layers: LayerStore, written: set[str]
) -> Generator[bytes, None, None]:
    index, docker = [], []
    for image in images:
        for diff_id in image.diff_ids:
            if diff_id not in written:
                written.add(diff_id)
                yield from _layer(diff_id, layers)
        manifest = _manifest(image, layers)
        yield from _blob(image.document, written)
        yield from _blob(manifest, written)
        index += _index_entries(manifest, image.names)
        docker.append(_docker_entry(image))
    yield from _document("index.json", {"schemaVersion": 2, "manifests": index})
    yield from _document("manifest.json", docker)
    yield from _document("oci-layout", {"imageLayoutVersion": "1.0.0"})


def _manifest(image: ExportedImage, layers: LayerStore) -> bytes:
    config = Descriptor(manifests.OCI_CONFIG, sha256_digest(image.document), len(image.document))
    return msgspec.json.encode(
        {
            "schemaVersion": 2,
            "mediaType": manifests.OCI_MANIFEST,
            "config": config,
            "layers": [
                Descriptor(manifests.OCI_LAYER, diff_id, layers.record(diff_id).tar_bytes)
                for diff_id in image.diff_ids
            ],
        }
    )


def _index_entries(manifest: bytes, names: Sequence[Reference]) -> list[Descriptor]:
    entry = Descriptor(manifests.OCI_MANIFEST, sha256_digest(manifest), len(manifest))
    return [
        msgspec.structs.replace(
            entry,
            annotations={
                "io.containerd.image.name": str(name),
                "org.opencontainers.image.ref.name": name.tag,
            },
        )
        for name in names
    ] or [entry]


def _docker_entry(image: ExportedImage) -> dict[str, Any]:
    return {
        "Config": _blob_path(sha256_digest(image.document)),
        "RepoTags": [name.familiar for name in image.names] or None,
        "Layers": [_blob_path(diff_id) for diff_id in image.diff_ids],
    }


def _layer(diff_id: str, layers: LayerStore) -> Generator[bytes, None, None]:
    expected = layers.record(diff_id).tar_bytes
    yield _header(_blob_path(diff_id), expected)
    length = 0
    for chunk in plain_chunks(layers.blob(diff_id)):
        length += len(chunk)
        yield chunk
    if length != expected:
        raise Internal(f"layer {diff_id} is damaged on disk: remove its images and pull them")
    yield _padding(length)


def _blob(content: bytes, written: set[str]) -> Generator[bytes, None, None]:
    digest = sha256_digest(content)
    if digest not in written:
        written.add(digest)
        yield from _file(_blob_path(digest), content)


def _document(name: str, value: Any) -> Generator[bytes, None, None]:
    yield from _file(name, msgspec.json.encode(value))


def _file(name: str, content: bytes) -> Generator[bytes, None, None]:
    yield _header(name, len(content)) + content + _padding(len(content))


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)


def _padding(length: int) -> bytes:
    return bytes(-length % tarfile.BLOCKSIZE)


def _blob_path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")
