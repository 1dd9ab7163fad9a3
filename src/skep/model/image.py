"""Images as the Engine API shows them, and the OCI image config that containers start from.

Sources: Engine API 1.50 (ImageSummary, ImageInspect, HistoryResponseItem, ImageDeleteResponseItem,
DistributionInspect) and the OCI image spec 1.1 (config.md), with docker's additions to it.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from skep.kit.clock import ZERO_TIME
from skep.kit.errors import InvalidArgument
from skep.model.base import Value, decode_json


class ImageHealthcheck(Value, frozen=True):
    """How an image says its containers are probed. Durations in ns; 0 inherits the default."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ImageConfig(Value, frozen=True):
    """What an image says about the containers made from it. None is docker's `null`: unset."""

    user: str = ""
    exposed_ports: dict[str, Any] | None = None
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    healthcheck: ImageHealthcheck | None = None
    args_escaped: bool = False
    volumes: dict[str, Any] | None = None
    working_dir: str = ""
    on_build: tuple[str, ...] | None = None
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: tuple[str, ...] | None = None


class RootFS(msgspec.Struct, frozen=True):
    """Digests of the uncompressed layer archives, lowest layer first; None is Go's `null`."""

    diff_ids: tuple[str, ...] | None = ()
    type: str = "layers"


class HistoryEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One build step, as the image config records it, oldest first."""

    created: datetime | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """The OCI image config: the JSON document whose SHA-256 is the image's id."""

    architecture: str = ""
    os: str = ""
    rootfs: RootFS = RootFS()
    config: ImageConfig | None = None
    created: datetime | None = None
    author: str = ""
    comment: str = ""
    docker_version: str = ""
    variant: str = ""
    os_version: str = msgspec.field(name="os.version", default="")
    history: tuple[HistoryEntry, ...] | None = None

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The layers, lowest first."""
        return self.rootfs.diff_ids or ()


class Platform(msgspec.Struct, frozen=True, omit_defaults=True):
    """`linux/arm64/v8`, in the OCI spelling that the API uses too."""

    architecture: str = ""
    os: str = ""
    variant: str = ""
    os_version: str = msgspec.field(name="os.version", default="")


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """A stored image, whole: what the engine needs to make a container from it."""

    id: str
    """`sha256:<64 hex>`: the digest of the config document."""
    document: ImageDocument
    size_bytes: int
    """Sum of the unpacked layers."""
    stored_at: datetime = ZERO_TIME

    @property
    def config(self) -> ImageConfig:
        return self.document.config or ImageConfig()

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The layers, lowest first."""
        return self.document.diff_ids


class ImageSummary(Value, frozen=True, omit_defaults=False):
    """A row of GET /images/json."""

    id: str = msgspec.field(name="Id")
    parent_id: str = msgspec.field(name="ParentId", default="")
    repo_tags: tuple[str, ...] = ()
    repo_digests: tuple[str, ...] = ()
    created: int = 0
    """Seconds since 1970."""
    size: int = 0
    shared_size: int = -1
    """Bytes of layers that other images have too; -1 when not asked for."""
    labels: dict[str, str] | None = None
    containers: int = -1
    """How many containers use it; -1 when not asked for."""


class GraphDriver(Value, frozen=True, omit_defaults=False):
    """Where the layers are: `Data` has docker's keys LowerDir and UpperDir."""

    name: str = "overlay2"
    data: dict[str, str] | None = None


class RootFSSummary(Value, frozen=True, omit_defaults=False):
    type: str = "layers"
    layers: tuple[str, ...] = ()


class ImageMetadata(Value, frozen=True, omit_defaults=False):
    last_tag_time: datetime = ZERO_TIME


class ImageInspect(Value, frozen=True, omit_defaults=False):
    """GET /images/{name}/json."""

    id: str = msgspec.field(name="Id")
    repo_tags: tuple[str, ...] = ()
    repo_digests: tuple[str, ...] = ()
    parent: str = ""
    comment: str = ""
    created: datetime | None = None
    docker_version: str = ""
    author: str = ""
    config: ImageConfig = ImageConfig()
    architecture: str = ""
    variant: str = ""
    os: str = msgspec.field(name="Os", default="")
    os_version: str = msgspec.field(name="OsVersion", default="")
    size: int = 0
    graph_driver: GraphDriver = GraphDriver()
    root_fs: RootFSSummary = msgspec.field(name="RootFS", default=RootFSSummary())
    metadata: ImageMetadata = ImageMetadata()


class HistoryItem(Value, frozen=True, omit_defaults=False):
    """A row of GET /images/{name}/history, newest first."""

    id: str = msgspec.field(name="Id", default="<missing>")
    created: int = 0
    created_by: str = ""
    tags: tuple[str, ...] | None = None
    size: int = 0
    comment: str = ""


class ImageDeletion(Value, frozen=True):
    """One line of what a remove or prune did: a name untagged, or an image or layer deleted."""

    untagged: str = ""
    deleted: str = ""


class ImagesPruned(Value, frozen=True, omit_defaults=False):
    """POST /images/prune."""

    images_deleted: tuple[ImageDeletion, ...] = ()
    space_reclaimed: int = 0


class ImagesDiskUsage(msgspec.Struct, frozen=True):
    """The images' share of GET /system/df."""

    images: tuple[ImageSummary, ...]
    layers_size_bytes: int


class Descriptor(msgspec.Struct, frozen=True, omit_defaults=True):
    """An OCI content descriptor."""

    media_type: str = msgspec.field(name="mediaType", default="")
    digest: str = ""
    size: int = 0
    platform: Platform | None = None
    annotations: dict[str, str] | None = None
    urls: tuple[str, ...] | None = None


class DistributionInspect(Value, frozen=True, omit_defaults=False):
    """GET /distribution/{name}/json: what a registry has under a name."""

    descriptor: Descriptor
    platforms: tuple[Platform, ...] = ()


class ProgressDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    current: int = 0
    total: int = 0


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of docker's JSON progress stream."""

    status: str
    id: str = ""
    detail: ProgressDetail | None = msgspec.field(name="progressDetail", default=None)


class AuthConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """A registry's credentials, as `X-Registry-Auth` carries them."""

    unsupported: ClassVar = {"registrytoken": ""}

    username: str = ""
    password: str = ""
    auth: str = ""
    """base64 of `username:password`, docker's other way to say the same."""
    server_address: str = msgspec.field(name="serveraddress", default="")
    identity_token: str = msgspec.field(name="identitytoken", default="")


def decode_registry_auth(header: str) -> AuthConfig | None:
    """What an `X-Registry-Auth` header says: JSON in base64, docker's URL-safe form or the standard
    one, with or without padding.

    None when it is empty or names nobody. Raises InvalidArgument.
    """
    text = header.strip().translate(str.maketrans("+/", "-_"))
    try:
        body = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise InvalidArgument("invalid X-Registry-Auth header: it is not base64") from None
    if body.strip() in {b"", b"null"}:
        return None
    auth = decode_json(body, AuthConfig, "X-Registry-Auth header")
    return auth if auth != AuthConfig() else None
