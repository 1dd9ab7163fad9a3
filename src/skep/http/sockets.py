"""The sockets that a server listens on: `unix:///path` and `tcp://host:port`."""

from __future__ import annotations

import errno
import grp
import logging
import os
import socket
import stat
from pathlib import Path

from skep.kit.errors import Conflict, Unavailable

log = logging.getLogger(__name__)


def unix_socket(path: Path, group: str) -> socket.socket:
    """A bound socket for root and `group`, in place of one that nobody listens on.

    Raises Conflict when somebody does, or when something else is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    except OSError as error:
        sock.close()
        raise Unavailable(f"cannot listen on unix://{path}: {error.strerror or error}") from None
    finally:
        os.umask(before)
    _let_in(path, group)
    sock.setblocking(False)
    return sock


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise Conflict(f"cannot listen on unix://{path}: something that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        refused = probe.connect_ex(str(path)) == errno.ECONNREFUSED
    if not refused:
        raise Conflict(f"cannot listen on unix://{path}: another daemon listens there")
    path.unlink()


def _let_in(path: Path, group: str) -> None:
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        number = os.getgid()
    try:
        os.chown(path, -1, number)
    except PermissionError:
        log.warning("%s stays in its group: only root can give it to %s", path, group)
    path.chmod(0o660)
