"""Volumes of the local driver: folders, or what `mount -o` would mount, kept under a name."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from skep.model.volume import Volume, VolumeCreate, VolumesList, VolumesPruned

Filters = Mapping[str, Collection[str]]


class Volumes:
    """Every call is docker's; errors carry docker's words."""

    async def create(self, options: VolumeCreate) -> Volume:
        """Make a volume; one with that name and the same options is given back as it is.

        Raises InvalidArgument (name, driver option), Conflict (other options), NotFound (driver).
        """
        raise NotImplementedError

    async def list(self, filters: Filters | None = None) -> VolumesList:
        """By name. Filters: dangling, driver, label, name."""
        raise NotImplementedError

    async def inspect(self, name: str) -> Volume:
        """Raises NotFound `get x: no such volume`."""
        raise NotImplementedError

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Raises Conflict `remove x: volume is in use - [ids]`, NotFound unless `force`."""
        raise NotImplementedError

    async def prune(self, filters: Filters | None = None) -> VolumesPruned:
        """Remove unused anonymous volumes, or with `all=true` every unused one. Filters: all,
        label, label!."""
        raise NotImplementedError

    async def disk_usage(self) -> list[Volume]:
        """With `usage_data`: walks every volume's files."""
        raise NotImplementedError
