"""Kernel settings of the network namespace that the calling thread is in."""

from __future__ import annotations

import os
from pathlib import Path

from skep.kit.errors import InvalidArgument

_ROOT = "/proc/sys/"
_SWAP = str.maketrans("./", "/.")


def write(name: str, value: str) -> None:
    """Set `net.ipv4.ip_forward`, say. Raises InvalidArgument when the kernel has or takes it not.

    Only `net.` settings belong to a network namespace; others would change the machine.
    """
    if not name.startswith("net.") or ".." in name:
        raise InvalidArgument(f'sysctl "{name}" is not of a network: only net.* can be set here')
    try:
        fd = os.open(_path(name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise InvalidArgument(f"cannot set sysctl {name} = {value}: {reason}") from None


def read(name: str) -> str | None:
    """The setting; None when the kernel does not have it."""
    try:
        return Path(_path(name)).read_text().strip()
    except OSError:
        return None


def children(name: str) -> list[str]:
    """The interfaces below `net.ipv6.conf`, say, as names that `write` takes."""
    return [each.name.replace(".", "/") for each in Path(_path(name)).iterdir()]


def _path(name: str) -> str:
    """Dots divide; a dot inside an interface's name is written as a slash (sysctl(8))."""
    return _ROOT + name.translate(_SWAP)
