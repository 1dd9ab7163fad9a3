"""What stands under a container's process: its root file system, volumes, /etc files, devices.

`prepare` makes it for one start, `clear` takes it away after the end; both can be done again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from skep.engine.containers.base import Base
from skep.engine.containers.bundle import Ground
from skep.engine.containers.devices import MappedDevice, all_devices, find_devices
from skep.engine.containers.extra_hosts import host_lines
from skep.engine.containers.mounts import volumes_to_make
from skep.engine.containers.record import MountRecord, Record
from skep.engine.containers.rootfs import mount_overlay, read_in_rootfs, remove_place
from skep.engine.containers.users import resolve_user
from skep.engine.images import ImageStore
from skep.engine.volumes import Volumes
from skep.kit.copying import copy_tree
from skep.kit.errors import Internal, InvalidArgument
from skep.kit.linux import open_in_root
from skep.kit.threads import Outside
from skep.network import files

_COPY_TIMEOUT_S = 600


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a container's /etc files and namespaces depend on outside of itself.

    netns            None is the host's.
    names_resolved   there is a resolver at 127.0.0.11.
    addresses        the container's own, without prefix length.
    host_gateway     what "host-gateway" stands for.
    files_of         another container, whose network and /etc files are shared.
    """

    netns: str | None = None
    pid_namespace_of: str | None = None
    names_resolved: bool = False
    addresses: tuple[str, ...] = ()
    host_gateway: str = ""
    files_of: str = ""


class GroundWork:
    def __init__(self, base: Base, images: ImageStore, volumes: Volumes) -> None:
        self._base = base
        self._images = images
        self._volumes = volumes

    async def prepare(self, record: Record, around: Surroundings) -> Ground:
        """Write down the intent, and make everything that the process needs on this host.

        Raises NotFound (image), InvalidArgument (user, device, bind source), Internal (mounts),
        Unavailable (a source, device or volume does not answer).
        """
        image = await self._images.resolve(record.image_id)
        layers = self._images.layers(image)
        folders = await self._mount_volumes(record)
        await check_sources(self._base.outside, record.mounts)
        devices = await find_devices(self._base.outside, record.host_config.devices)
        if not record.populated:
            await asyncio.to_thread(self._make_root, record, layers)
            await self._populate(record, folders)
            return await asyncio.to_thread(self._furnish, record, around, folders, devices)
        return await asyncio.to_thread(self._prepare, record, around, layers, folders, devices)

    async def _populate(self, record: Record, folders: Mapping[str, Path]) -> None:
        rootfs = self._base.places.rootfs(record.id)
        for mount in record.mounts:
            if mount.type == "volume":
                fill = partial(populate_volumes, [mount], rootfs, folders)
                await self._base.outside.call(str(folders[mount.source]), fill, _COPY_TIMEOUT_S)

    async def _mount_volumes(self, record: Record) -> dict[str, Path]:
        """Volume -> folder. A volume that was removed meanwhile is made again, as docker does."""
        for wish, anonymous in volumes_to_make(record.mounts, record.host_config):
            if not self._volumes.knows(wish.name):
                await self._volumes.ensure(wish, anonymous=anonymous)
        return {
            mount.source: await self._volumes.mount(mount.source, record.id)
            for mount in record.mounts
            if mount.type == "volume"
        }

    def _prepare(
        self,
        record: Record,
        around: Surroundings,
        layers: Sequence[Path],
        volumes: Mapping[str, Path],
        mapped: Sequence[MappedDevice],
    ) -> Ground:
        self._make_root(record, layers)
        return self._furnish(record, around, volumes, mapped)

    def _furnish(
        self,
        record: Record,
        around: Surroundings,
        volumes: Mapping[str, Path],
        mapped: Sequence[MappedDevice],
    ) -> Ground:
        rootfs = self._base.places.rootfs(record.id)
        hostname = record.config.hostname or socket.gethostname()
        identity = resolve_user(
            record.config.user,
            read_in_rootfs(rootfs, "/etc/passwd"),
            read_in_rootfs(rootfs, "/etc/group"),
            record.host_config.group_add,
        )
        others = all_devices() if record.host_config.privileged else []
        return Ground(
            rootfs=rootfs,
            identity=identity,
            hostname=hostname,
            mounts=[(mount, _source(mount, volumes)) for mount in record.mounts],
            files=self._files(record, around, hostname),
            devices=[*others, *(device for device, _ in mapped)],
            device_rules=[rule for _, rule in mapped],
            netns=around.netns,
            pid_namespace_of=around.pid_namespace_of,
        )

    def _make_root(self, record: Record, layers: Sequence[Path]) -> None:
        rootfs = self._base.places.rootfs(record.id)
        rootfs.parent.mkdir(mode=0o700)  # before the intent: see discovery.verdict
        rootfs.mkdir()
        self._base.folder.note(record)
        mount_overlay(
            (*layers, self._base.places.skeleton),
            self._base.places.upper(record.id),
            self._base.places.work(record.id),
            rootfs,
        )

    def _files(self, record: Record, around: Surroundings, hostname: str) -> list[tuple[str, str]]:
        """The three files of /etc, less those that the caller mounts himself."""
        if around.files_of:
            owner = around.files_of
        else:
            owner = record.id
            self._write_files(record, around, hostname)
        taken = {mount.destination for mount in record.mounts}
        return [
            (path, str(self._base.places.etc(owner, name)))
            for name in ("resolv.conf", "hostname", "hosts")
            if (path := f"/etc/{name}") not in taken
        ]

    def _write_files(self, record: Record, around: Surroundings, hostname: str) -> None:
        contents = {
            "resolv.conf": self._resolv_conf(record, around),
            "hostname": f"{hostname}\n",
            "hosts": _hosts(record, around, hostname),
        }
        for name, text in contents.items():
            path = self._base.places.etc(record.id, name)
            path.write_text(text)
            path.chmod(0o644)

    def _resolv_conf(self, record: Record, around: Surroundings) -> str:
        host, settings = record.host_config, self._base.settings
        asked = files.ResolvConf(
            nameservers=tuple(host.dns or settings.dns),
            search=tuple(host.dns_search or settings.dns_search),
            options=tuple(host.dns_options or settings.dns_options),
        )
        if around.netns is None:
            return files.host_network_resolv_conf(files.resolv_conf_of_host(), asked)
        given = files.resolv_conf_for_others()
        return files.resolv_conf(given, asked, own_resolver=around.names_resolved)

    async def clear(self, record: Record) -> None:
        """Unmount and remove what `prepare` made."""
        await asyncio.to_thread(remove_place, self._base.places.run(record.id))
        for mount in record.mounts:
            if mount.type == "volume":
                await self._volumes.unmount(mount.source, record.id)


def _hosts(record: Record, around: Surroundings, hostname: str) -> str:
    """In the host's network it is the host's file, unless somebody adds to it; as docker's."""
    if around.netns is None and not record.hosts:
        return files.hosts_of_host()
    return files.hosts_file(
        hostname,
        around.addresses,
        domainname=record.config.domainname,
        extra=host_lines(record.hosts, around.host_gateway),
    )


async def check_sources(outside: Outside, mounts: Sequence[MountRecord]) -> None:
    """Make the folders that -v wants made. Raises InvalidArgument for a bind source that is
    missing, Unavailable for one that does not answer."""
    for mount in mounts:
        if mount.type == "bind":
            await outside.call(mount.source, partial(_check_source, mount))


def _check_source(mount: MountRecord) -> None:
    if Path(mount.source).exists() or os.path.lexists(mount.source):
        return  # looked through links first: runc will, and might hang where they lead
    if not mount.create_source:
        raise InvalidArgument(
            f'invalid mount config for type "bind": bind source path does not exist: {mount.source}'
        )
    try:
        Path(mount.source).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidArgument(
            f"error while creating mount source path '{mount.source}': {error.strerror}"
        ) from None


def _source(mount: MountRecord, volumes: Mapping[str, Path]) -> str:
    if mount.type == "bind":
        return mount.source
    return str(volumes[mount.source]) if mount.type == "volume" else ""


def populate_volumes(
    mounts: Sequence[MountRecord], rootfs: Path, volumes: Mapping[str, Path]
) -> None:
    """Fill volumes that are empty with what the image has where they are mounted. Blocking.

    Other containers may have them mounted, and write in them meanwhile.
    """
    for mount in mounts:
        if mount.type == "volume" and mount.copy_up and not any(volumes[mount.source].iterdir()):
            _copy_up(rootfs, mount.destination, volumes[mount.source])


def _copy_up(rootfs: Path, path: str, volume: Path) -> None:
    with contextlib.ExitStack() as opened:
        try:
            source = open_in_root(rootfs, path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return
        opened.callback(os.close, source)
        try:
            target = os.open(volume, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, target)
            copy_tree(source, target)
        except OSError as error:
            reason = error.strerror or str(error)
            raise Internal(f"cannot copy {path} of the image into its volume: {reason}") from None
