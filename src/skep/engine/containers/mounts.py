"""Mounts: docker's ways to ask for them (-v, --mount, --tmpfs, VOLUME) as one list. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable

from skep.engine.containers.record import MountRecord
from skep.kit.errors import InvalidArgument
from skep.model.container import ContainerConfig, HostConfig
from skep.model.rules.mounts import PROPAGATIONS, check_mount, cleaned
from skep.model.rules.names import check_volume_name
from skep.model.service import BindOptions, Driver, Mount, TmpfsOptions, VolumeOptions
from skep.model.volume import VolumeCreate

_MODE_WORDS = frozenset({"ro", "rw", "z", "Z", "nocopy", "copy", "cached", "consistent",
                         "delegated", "default"})  # fmt: skip


def wanted_mounts(
    config: ContainerConfig, host: HostConfig, new_volume_name: Callable[[], str]
) -> tuple[MountRecord, ...]:
    """All mounts that a container asks for, parents before what is mounted inside them.

    Binds and Mounts come first; an image's VOLUME gets an anonymous volume where nothing else is
    mounted. Raises InvalidArgument in docker's words.
    """
    mounts: dict[str, MountRecord] = {}
    wanted: Iterable[MountRecord] = (
        *map(parse_bind, host.binds),
        *(_from_mount(mount, new_volume_name) for mount in host.mounts),
        *(_from_tmpfs(target, options) for target, options in host.tmpfs.items()),
    )
    for mount in wanted:
        if mount.destination in mounts:
            raise InvalidArgument(f"Duplicate mount point: {mount.destination}")
        mounts[mount.destination] = mount
    for target in config.volumes:
        destination = _destination(target)
        if destination not in mounts:
            mounts[destination] = _anonymous(destination, new_volume_name)
    return tuple(sorted(mounts.values(), key=lambda mount: mount.destination.count("/")))


def volumes_to_make(
    mounts: Iterable[MountRecord], host: HostConfig
) -> list[tuple[VolumeCreate, bool]]:
    """The volumes that these mounts need, each with whether it is anonymous."""
    options = {mount.target: mount.volume_options for mount in host.mounts}
    wanted = []
    for mount in mounts:
        if mount.type != "volume":
            continue
        said = options.get(mount.destination) or VolumeOptions()
        driver = said.driver_config or Driver()
        wish = VolumeCreate(
            name=mount.source,
            driver=driver.name,
            driver_opts=driver.options,
            labels=said.labels,
        )
        wanted.append((wish, mount.anonymous))
    return wanted


def parse_bind(text: str) -> MountRecord:
    """`source:target[:mode]`; a source that is no path is a volume's name."""
    parts = text.split(":")
    if len(parts) not in {2, 3} or not all(parts):
        raise InvalidArgument(f"invalid volume specification: '{text}'")
    source, target, mode = parts[0], parts[1], parts[2] if len(parts) == 3 else ""
    words = [word for word in mode.split(",") if word]
    for word in words:
        if word not in _MODE_WORDS | PROPAGATIONS:
            raise InvalidArgument(f"invalid mode: {mode}")
    propagation = next((word for word in words if word in PROPAGATIONS), "")
    named = not source.startswith("/")
    if named:
        check_volume_name(source)
    return MountRecord(
        type="volume" if named else "bind",
        source=source if named else posixpath.normpath(source),
        destination=_destination(target, text),
        read_only="ro" in words,
        mode=mode or ("z" if named else ""),
        propagation="" if named else propagation or "rprivate",
        copy_up=named and "nocopy" not in words,
        create_source=not named,
    )


def _from_mount(mount: Mount, new_volume_name: Callable[[], str]) -> MountRecord:
    check_mount(mount)
    match mount.type:
        case "bind":
            return _from_bind_mount(mount)
        case "tmpfs":
            return _from_tmpfs_mount(mount)
    return _from_volume_mount(mount, new_volume_name)


def _from_bind_mount(mount: Mount) -> MountRecord:
    options = mount.bind_options or BindOptions()
    return MountRecord(
        type="bind",
        source=posixpath.normpath(mount.source),
        destination=cleaned(mount.target),
        read_only=mount.read_only,
        propagation=options.propagation or "rprivate",
        recursive=not options.non_recursive,
        create_source=options.create_mountpoint,
    )


def _from_volume_mount(mount: Mount, new_volume_name: Callable[[], str]) -> MountRecord:
    return MountRecord(
        type="volume",
        source=mount.source or new_volume_name(),
        destination=cleaned(mount.target),
        read_only=mount.read_only,
        mode="z",
        anonymous=not mount.source,
        copy_up=not (mount.volume_options and mount.volume_options.no_copy),
    )


def _from_tmpfs_mount(mount: Mount) -> MountRecord:
    options = mount.tmpfs_options or TmpfsOptions()
    words = ["noexec", "nosuid", "nodev"]
    if options.size_bytes:
        words.append(f"size={options.size_bytes}")
    if options.mode:
        words.append(f"mode={options.mode:o}")
    words += ["=".join(pair) for pair in options.options]
    return MountRecord(
        type="tmpfs",
        destination=cleaned(mount.target),
        read_only=mount.read_only,
        options=tuple(words),
    )


def _from_tmpfs(target: str, options: str) -> MountRecord:
    """`--tmpfs /run:rw,size=64m`: the caller's words after docker's, so that they win."""
    words = [word for word in options.split(",") if word]
    return MountRecord(
        type="tmpfs",
        destination=_destination(target),
        read_only="ro" in words,
        options=("noexec", "nosuid", "nodev", *(word for word in words if word != "ro")),
        mode=options,
    )


def _anonymous(destination: str, new_volume_name: Callable[[], str]) -> MountRecord:
    return MountRecord(
        type="volume",
        source=new_volume_name(),
        destination=destination,
        anonymous=True,
        copy_up=True,
    )


def _destination(target: str, spec: str = "") -> str:
    if not target.startswith("/"):
        raise InvalidArgument(
            f"invalid volume specification: '{spec or target}':"
            f" invalid mount config for type \"bind\": invalid mount path: '{target}'"
            " mount path must be absolute"
        )
    destination = cleaned(target)
    if destination == "/":
        raise InvalidArgument(
            f"invalid volume specification: '{spec or target}':"
            " invalid specification: destination can't be '/'"
        )
    return destination
