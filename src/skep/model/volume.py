"""Volumes as the Engine API writes them (1.50: Volume, VolumeCreateOptions)."""

from __future__ import annotations

from typing import Any

import msgspec

from skep.kit.clock import ZERO_TIME
from skep.model.base import Strict, Value
from skep.model.bounds import Int64, Moment


class VolumeCreate(Strict, frozen=True):
    """The body of POST /volumes/create. An empty name makes an anonymous volume."""

    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] = {}
    labels: dict[str, str] = {}
    cluster_volume_spec: dict[str, Any] | None = None


class VolumeUsage(Value, frozen=True, omit_defaults=False):
    """Bytes on disk and containers that mount it; only in GET /system/df."""

    size: Int64 = -1
    ref_count: Int64 = -1


class Volume(Value, frozen=True, omit_defaults=False):
    """A volume of this node."""

    name: str
    driver: str = "local"
    mountpoint: str = ""
    created_at: Moment = ZERO_TIME
    labels: dict[str, str] | None = None
    options: dict[str, str] | None = None
    scope: str = "local"
    usage_data: VolumeUsage | msgspec.UnsetType = msgspec.UNSET


class VolumesList(Value, frozen=True, omit_defaults=False):
    """GET /volumes."""

    volumes: list[Volume] = []
    warnings: list[str] = []


class VolumesPruned(Value, frozen=True, omit_defaults=False):
    """POST /volumes/prune."""

    volumes_deleted: list[str] = []
    space_reclaimed: Int64 = 0
