"""What registries and archives say about an image: manifests, lists of them, platforms. Pure."""

from __future__ import annotations

import hashlib
import platform as machine
from collections.abc import Sequence

import msgspec

from skep.kit.errors import UNDECODABLE, InvalidArgument, NotFound
from skep.kit.machines import go_architecture
from skep.model.image import Descriptor, Platform
from skep.model.reference import is_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

MAX_LAYERS = 500
"""overlayfs takes no more lower folders in one mount."""

_DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7"}


class Manifest(msgspec.Struct, frozen=True):
    """One platform's image: its config document and its layers' archives, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


class ManifestList(msgspec.Struct, frozen=True):
    """An image for several platforms (docker: manifest list, OCI: index)."""

    manifests: tuple[Descriptor, ...]


class _Shape(msgspec.Struct, frozen=True):
    """The fields that tell the kinds of manifest apart."""

    schema_version: int = msgspec.field(name="schemaVersion", default=2)
    media_type: str = msgspec.field(name="mediaType", default="")
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] | None = None


_SHAPE = msgspec.json.Decoder(_Shape)
"""Made once, before threads read with it: see containers/record.py."""


def sha256_digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def parse_manifest(content: bytes) -> Manifest | ManifestList:
    """Raises InvalidArgument for what is neither, and for manifests of schema 1 (before 2016)."""
    try:
        shape = _SHAPE.decode(content)
    except UNDECODABLE as error:
        raise InvalidArgument(f"invalid manifest: {error}") from None
    if shape.schema_version != 2:
        raise InvalidArgument("manifests of schema version 1 are not supported: push it again")
    if shape.manifests is not None:
        return ManifestList(_checked(shape.manifests))
    if shape.config is None:
        raise InvalidArgument("invalid manifest: it has neither config nor manifests")
    if len(shape.layers) > MAX_LAYERS:
        raise InvalidArgument(f"max depth exceeded: more than {MAX_LAYERS} layers")
    (config,) = _checked([shape.config])
    return Manifest(config, _checked(shape.layers))


def media_type(content: bytes) -> str:
    """The manifest's own word for its kind, or OCI's when it has none (the field is optional)."""
    shape = _SHAPE.decode(content)
    return shape.media_type or (OCI_MANIFEST if shape.manifests is None else OCI_INDEX)


def host_platform() -> Platform:
    """The platform of this machine."""
    architecture = go_architecture(machine.machine())
    return Platform(architecture, "linux", _DEFAULT_VARIANTS.get(architecture, ""))


def choose(manifests: Sequence[Descriptor], wanted: Platform) -> Descriptor:
    """The first manifest for a platform; the exact variant before any other.

    Raises NotFound in docker's words.
    """
    fitting = [
        manifest
        for manifest in manifests
        if (p := manifest.platform) and (p.os, p.architecture) == (wanted.os, wanted.architecture)
    ]
    exact = [m for m in fitting if m.platform and m.platform.variant == wanted.variant]
    if not wanted.variant or wanted.variant == _DEFAULT_VARIANTS.get(wanted.architecture):
        exact += fitting
    if not exact:
        raise NotFound(
            f"no matching manifest for {platform_name(wanted)} in the manifest list entries"
        )
    return exact[0]


def platform_name(platform: Platform) -> str:
    """`linux/arm64/v8`."""
    return "/".join(filter(None, (platform.os, platform.architecture, platform.variant)))


def _checked(descriptors: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    for descriptor in descriptors:
        if not is_digest(descriptor.digest):
            raise InvalidArgument(f"invalid manifest: {descriptor.digest!r} is no digest")
    return tuple(descriptors)
