"""Volumes of the local driver: folders, or what `mount -o` would mount, kept under a name.

<data_root>/volumes/<name>/_data         what containers see
<data_root>/volumes/<name>/volume.json   the record, written last
<data_root>/volumes/.gone.<random>/      what is being deleted
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import secrets
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
from msgspec.structs import replace

from skep.engine.events import Events
from skep.engine.record_files import Unreadable, read_record
from skep.kit.clock import utc_now
from skep.kit.errors import (
    Conflict,
    Internal,
    NotFound,
    Unavailable,
    Unimplemented,
)
from skep.kit.files import (
    close_folder,
    disk_usage_bytes,
    is_bare,
    sweep_away,
    write_atomically,
)
from skep.kit.ids import new_container_id
from skep.kit.labels import ANY_LABELS, LabelQuery
from skep.kit.linux import is_mount_point, mount, split_options, unmount
from skep.kit.locks import KeyedLocks
from skep.kit.threads import Outside
from skep.kit.where import Where, anything
from skep.model.bounds import Moment
from skep.model.rules.names import check_volume_name, is_volume_name
from skep.model.rules.volumes import check_volume_options
from skep.model.volume import Volume, VolumeCreate, VolumesList, VolumesPruned, VolumeUsage

_log = logging.getLogger(__name__)

ANONYMOUS_LABEL = "com.docker.volume.anonymous"
_GONE = ".gone."
_FILE = "volume.json"
_WALK_S = 60.0
"""For the size of a volume that others serve."""
_UNKNOWN_BYTES = -1


class VolumeRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One volume. `options` are docker's `type`, `o` and `device`; none is a plain folder."""

    name: str
    created_at: Moment
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


_RECORD = msgspec.json.Decoder(VolumeRecord)


class Volumes:
    """Every call is docker's; errors carry docker's words.

    `users(name)` gives the ids of the containers that have a volume mounted, running or not.
    """

    def __init__(
        self,
        root: Path,
        events: Events,
        users: Callable[[str], Collection[str]],
        outside: Outside,
    ) -> None:
        self._root = root
        self._events = events
        self._users = users
        self._outside = outside
        self._records: dict[str, VolumeRecord] = {}
        self._unreadable: dict[str, str] = {}
        self._mounted_by: dict[str, set[str]] = {}
        self._turns = KeyedLocks()

    # Docker's calls

    async def create(self, options: VolumeCreate) -> Volume:
        """Make a volume; one with that name and the same options is given back as it is.

        Raises InvalidArgument (name, driver option), Conflict (other options), NotFound (driver).
        """
        return self._shown(await self.ensure(options, anonymous=not options.name))

    async def inspect(self, name: str) -> Volume:
        """Raises NotFound `get x: no such volume`."""
        return self._shown(self._known(name))

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Raises Conflict `remove x: volume is in use - [ids]`, NotFound unless `force`."""
        async with self._turns.hold(name):
            if force and not (self.knows(name) or name in self._unreadable):
                return
            record = self._known(name)
            if users := self._users(name):
                raise Conflict(f"remove {name}: volume is in use - [{', '.join(sorted(users))}]")
            await self._delete(record)

    async def prune(
        self, labels: LabelQuery = ANY_LABELS, *, named_too: bool = False
    ) -> VolumesPruned:
        """Remove unused volumes with these labels: anonymous ones, or all."""
        removed, freed = [], 0
        for record in list(self._records.values()):
            if not (named_too or ANONYMOUS_LABEL in record.labels):
                continue
            if not labels.passes(record.labels):
                continue
            async with self._turns.hold(record.name):
                if record.name not in self._records or self._users(record.name):
                    continue
                freed += max(await self._size_bytes(record), 0)
                await self._delete(record)
            removed.append(record.name)
        return VolumesPruned(volumes_deleted=removed, space_reclaimed=freed)

    async def disk_usage(self) -> list[Volume]:
        """With `usage_data`: walks every volume's files (size -1: it does not answer)."""
        return [
            replace(
                self._shown(record),
                usage_data=VolumeUsage(
                    size=await self._size_bytes(record),
                    ref_count=len(self._users(record.name)),
                ),
            )
            for record in list(self._records.values())
        ]

    # For the containers

    def folder(self, name: str) -> Path:
        """Where its files are, when it is mounted."""
        return self._root / name / "_data"

    def knows(self, name: str) -> bool:
        return name in self._records

    def labels(self, name: str) -> Mapping[str, str]:
        return self._records[name].labels

    async def ensure(self, options: VolumeCreate, *, anonymous: bool = False) -> VolumeRecord:
        """`create` for a container's mount."""
        _check(options)
        name = options.name or new_container_id()
        async with self._turns.hold(name):
            self._refuse_unreadable(name)
            if known := self._records.get(name):
                if options.driver_opts and options.driver_opts != known.options:
                    raise Conflict(
                        f"a volume named {name} already exists with other options:"
                        " choose another name or remove it first"
                    )
                return known
            labels = {**options.labels, **({ANONYMOUS_LABEL: ""} if anonymous else {})}
            record = VolumeRecord(
                name=name, created_at=utc_now(), options=options.driver_opts, labels=labels
            )
            await asyncio.to_thread(self._make, record)
            self._records[name] = record
        self._tell(record, "create")
        return record

    async def mount(self, name: str, container_id: str) -> Path:
        """Where a container finds the volume's files; `unmount` gives it back.

        Raises NotFound, Internal with the kernel's reason when it cannot be mounted, Unavailable
        when what should be mounted does not answer.
        """
        record = self._known(name)
        async with self._turns.hold(name):
            if record.options:
                await self._outside.call(str(self.folder(name)), partial(self._mount, record))
            self._mounted_by.setdefault(name, set()).add(container_id)
        return self.folder(name)

    def keep_mounted(self, name: str, container_id: str) -> None:
        """A container that was found running has it mounted."""
        self._mounted_by.setdefault(name, set()).add(container_id)

    async def unmount(self, name: str, container_id: str) -> None:
        """A container lets go of it; the last one unmounts what had to be mounted."""
        async with self._turns.hold(name):
            users = self._mounted_by.get(name, set())
            users.discard(container_id)
            if users:
                return
            self._mounted_by.pop(name, None)
            record = self._records.get(name)
            if record and record.options:
                await self._outside.call(
                    str(self._root / name), partial(unmount, self.folder(name))
                )

    async def remove_anonymous(self, names: Collection[str]) -> None:
        """With their container: those that nobody else uses."""
        for name in names:
            async with self._turns.hold(name):
                record = self._records.get(name)
                if record and not self._users(name):
                    await self._delete(record)

    def load(self) -> None:
        """Read what there is. Blocking.

        What is not understood stays as it is, and is not used: a volume whose record is not there,
        or cannot be read, is an error for whoever names it.
        """
        close_folder(self._root)
        for folder in sorted(self._root.iterdir()):
            if folder.name.startswith(_GONE):
                sweep_away([folder])
            elif not is_volume_name(folder.name) or not folder.is_dir():
                _log.info("%s is no volume's", folder)
            elif is_bare(folder, ("_data",)):  # a create ends with the record
                sweep_away([folder])
            else:
                self._load(folder)

    def _load(self, folder: Path) -> None:
        path = folder / _FILE
        try:
            record = read_record(path, _RECORD, lambda record: record.name, folder.name)
        except Unreadable as reason:
            self._unreadable[folder.name] = problem = (
                f"volume {folder.name}: its record {path} cannot be read ({reason}): restore that"
                f" file, or take what you need from {folder} and remove it, and restart skep"
            )
            _log.error("%s", problem)
        else:
            self._records[record.name] = record

    def unmount_unused(self) -> None:
        """After a restart: what no container holds is not to stay mounted. Blocking."""
        for record in self._records.values():
            if record.options and record.name not in self._mounted_by:
                unmount(self.folder(record.name))

    # Inside

    def _make(self, record: VolumeRecord) -> None:
        folder = self.folder(record.name)
        close_folder(folder.parent)
        folder.mkdir(mode=0o755, exist_ok=True)
        write_atomically(folder.parent / _FILE, msgspec.json.encode(record))

    async def _size_bytes(self, record: VolumeRecord) -> int:
        folder = self.folder(record.name)
        walk = partial(disk_usage_bytes, folder)
        try:
            return await self._outside.call(
                str(folder), walk, _WALK_S if record.options else math.inf
            )
        except Unavailable:
            return _UNKNOWN_BYTES

    async def _delete(self, record: VolumeRecord) -> None:
        del self._records[record.name]
        delete = partial(self._delete_now, record.name)
        await self._outside.call(str(self._root / record.name), delete, math.inf)
        self._tell(record, "destroy")

    def _delete_now(self, name: str) -> None:
        """By one step it is gone: what a crash leaves of it is removed at the next start."""
        unmount(self.folder(name))
        gone = self._root / f"{_GONE}{secrets.token_hex(8)}"
        (self._root / name).rename(gone)
        sweep_away([gone])

    def _mount(self, record: VolumeRecord) -> None:
        folder = self.folder(record.name)
        if not is_mount_point(folder):
            self._mount_now(record, folder)
        with suppress(OSError):
            folder.stat()  # if it hangs that is known now, not when runc hangs on it

    def _mount_now(self, record: VolumeRecord, folder: Path) -> None:
        kind, device = record.options.get("type", "none"), record.options.get("device", "")
        flags, data = split_options(_resolved(record.options.get("o", "").split(",")))
        try:
            mount(device or kind, folder, kind, flags, data)
        except OSError as error:
            raise Internal(
                f"error while mounting volume '{folder}': failed to mount local volume:"
                f" mount {device}:{folder}, data: {data}: {os.strerror(error.errno or 0)}"
            ) from None

    def _refuse_unreadable(self, name: str) -> None:
        if problem := self._unreadable.get(name):
            raise Internal(problem)

    def _known(self, name: str) -> VolumeRecord:
        self._refuse_unreadable(name)
        try:
            return self._records[name]
        except KeyError:
            raise NotFound(f"get {name}: no such volume") from None

    def _shown(self, record: VolumeRecord) -> Volume:
        return Volume(
            name=record.name,
            mountpoint=str(self.folder(record.name)),
            created_at=record.created_at,
            labels=record.labels or None,
            options=record.options or None,
        )

    def _tell(self, record: VolumeRecord, action: str) -> None:
        self._events.emit("volume", action, record.name, {"driver": "local"})

    async def list(
        self, where: Where[Volume] = anything, *, dangling: bool | None = None
    ) -> VolumesList:
        """By name; those that nobody uses, or the others, when that is asked."""
        rows = [
            row
            for record in sorted(self._records.values(), key=lambda record: record.name)
            if where(row := self._shown(record)) and dangling in (None, not self._users(row.name))
        ]
        return VolumesList(volumes=rows)


def _check(options: VolumeCreate) -> None:
    if options.name:
        check_volume_name(options.name)
    if options.driver not in {"", "local"}:
        raise NotFound(
            f'error looking up volume plugin {options.driver}: plugin "{options.driver}" not found'
        )
    if options.cluster_volume_spec is not None:
        raise Unimplemented("ClusterVolumeSpec is not supported by this engine")
    check_volume_options(options.name, options.driver_opts)


def _resolved(words: list[str]) -> list[str]:
    """NFS's `addr=` takes a number: the kernel resolves no names."""
    return [
        f"addr={socket.gethostbyname(word[5:])}" if word.startswith("addr=") else word
        for word in words
    ]
