"""Devices of the host that a container may use (--device, --device-cgroup-rule, --privileged).

Blocking but for `find_devices`: looks at the host's /dev.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from skep.kit.errors import InvalidArgument
from skep.kit.threads import Outside
from skep.model.container import DeviceMapping
from skep.runtime.bundle import Device, DeviceRule

_RULE = re.compile(r"([acb]) (\d{1,10}|\*):(\d{1,10}|\*) ([rwm]{1,3})", re.ASCII)
_ACCESS = re.compile(r"[rwm]{1,3}")
_MOST = 4096
_NOT_DEVICES = frozenset({"pts", "shm", "fd", "mqueue", "console", "lxc", "lxd-fuse", ".udev"})


MappedDevice = tuple[Device, DeviceRule]


async def find_devices(outside: Outside, mappings: Iterable[DeviceMapping]) -> list[MappedDevice]:
    """`mapped` of paths that may not answer. Raises Unavailable, too."""
    found: list[MappedDevice] = []
    for mapping in mappings:
        found += await outside.call(mapping.path_on_host, partial(mapped, mapping))
    return found


def mapped(mapping: DeviceMapping) -> list[MappedDevice]:
    """The device, or every one in the folder, with its rule. Raises InvalidArgument."""
    inside = mapping.path_in_container or mapping.path_on_host
    access = mapping.cgroup_permissions or "rwm"
    if not _ACCESS.fullmatch(access):
        raise InvalidArgument(f"invalid device mode: {access}")
    found = list(_devices_at(mapping.path_on_host, inside, _Walk(mapping.path_on_host)))
    if not found:
        raise InvalidArgument(
            "error gathering device information while adding custom device"
            f' "{mapping.path_on_host}": no such file or directory, or not a device node'
        )
    return [(device, _rule_of(device, access)) for device in found]


def all_devices() -> list[Device]:
    """What a privileged container gets: the whole of the host's /dev."""
    return [
        device
        for name in sorted(os.listdir("/dev"))  # noqa: PTH208  (names are all that is needed)
        if name not in _NOT_DEVICES
        for device in _devices_at(f"/dev/{name}", f"/dev/{name}", _Walk(f"/dev/{name}"))
    ]


def parse_rule(text: str) -> DeviceRule:
    """`c 42:* rmw`. Raises InvalidArgument in docker's words."""
    match = _RULE.fullmatch(text)
    if not match:
        raise InvalidArgument(f"invalid device cgroup rule format: '{text}'")
    kind, major, minor, access = match.groups()
    return DeviceRule(
        allow=True,
        kind=kind,  # type: ignore[arg-type]  # the pattern allows the three letters only
        major=None if major == "*" else int(major),
        minor=None if minor == "*" else int(minor),
        access=access,
    )


class _Walk:
    """Counts what a search for devices meets: a folder of devices is small, `/` and /proc are not.

    Like docker's it follows a link where it begins, and none below.
    """

    def __init__(self, start: str) -> None:
        self._start = start
        self._met = 0

    def status(self, path: str) -> os.stat_result:
        """Raises OSError for what is gone, InvalidArgument when that is too much."""
        self._met += 1
        if self._met > _MOST:
            raise InvalidArgument(
                f'error gathering device information while adding custom device "{self._start}":'
                f" more than {_MOST} files are in it: name the devices, or their own folder"
            )
        return Path(path).stat(follow_symlinks=path == self._start)


def _devices_at(path: str, inside: str, walk: _Walk) -> Iterator[Device]:
    try:
        status = walk.status(path)
        is_folder = stat.S_ISDIR(status.st_mode)
        names = sorted(os.listdir(path)) if is_folder else []  # noqa: PTH208
    except OSError:
        return
    if is_folder:
        for name in names:
            if name not in _NOT_DEVICES:
                yield from _devices_at(f"{path}/{name}", f"{inside}/{name}", walk)
    elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        yield Device(
            path=inside,
            kind="c" if stat.S_ISCHR(status.st_mode) else "b",
            major=os.major(status.st_rdev),
            minor=os.minor(status.st_rdev),
            file_mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
        )


def _rule_of(device: Device, access: str) -> DeviceRule:
    return DeviceRule(
        allow=True,
        kind="c" if device.kind == "c" else "b",
        major=device.major,
        minor=device.minor,
        access=access,
    )
