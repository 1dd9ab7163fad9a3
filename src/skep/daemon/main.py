"""The process around a node: its log, its pid file, its locks, and an end without loose ends."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from skep.daemon.node import serve
from skep.daemon.settings import DaemonSettings
from skep.kit.errors import SkepError
from skep.kit.files import close_folder
from skep.kit.forms import meet_all_types
from skep.kit.linux import (
    MS_NODEV,
    MS_NOSUID,
    mount,
    mounted_at,
    mounts_below,
    unmount,
)
from skep.kit.memory import calm_collector, return_what_is_freed
from skep.kit.patience import new_loop
from skep.kit.threads import take_short_turns

log = logging.getLogger("skep")

_TMPFS = "skep"
_TMPFS_OPTIONS = "mode=0700,size=20%,nr_inodes=800k"
"""As systemd mounts /run: what is there by mistake cannot take all of the memory."""

_LEVELS = {"warn": logging.WARNING, "fatal": logging.CRITICAL}


def main(settings: DaemonSettings) -> int:
    _configure_log(settings)
    return_what_is_freed()
    meet_all_types()
    try:
        memory = _into_memory(Path(settings.exec_root))
        with _sole_owner(settings), _pid_file(settings.pidfile):
            os.chdir(settings.exec_root)  # conmon leaves a file where it was started
            calm_collector()
            take_short_turns()
            with asyncio.Runner(loop_factory=new_loop) as runner:
                idle = runner.run(serve(settings, _use_all_files()))
            os.chdir("/")
        if memory and idle:
            _out_of_memory(Path(settings.exec_root))
    except SkepError as error:
        log.critical("%s", error)
        return 1
    except OSError as error:
        log.critical("the daemon cannot start: %s", error)
        return 1
    return 0


def _configure_log(settings: DaemonSettings) -> None:
    level = "debug" if settings.debug else settings.log_level
    logging.basicConfig(
        stream=sys.stderr,
        level=_LEVELS.get(level) or level.upper(),
        format="time=%(asctime)s.%(msecs)03d level=%(levelname)s room=%(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _use_all_files() -> tuple[int, int]:
    """Raise the soft limit of open files to the hard one: each node of a cluster is a file of its
    manager. Returns the limits of before, which containers get: some programs try every number up
    to the soft one."""
    given = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return given


def _into_memory(folder: Path) -> bool:
    """What a reboot must sweep away belongs on a tmpfs: mount one where /run is none.

    Returns whether the folder is a tmpfs of ours. It stays while containers run, so that a daemon
    that was killed finds them.
    """
    close_folder(folder)
    if mounted_at(folder).kind != "tmpfs" and not mounts_below(folder):
        mount(_TMPFS, folder, "tmpfs", MS_NOSUID | MS_NODEV, _TMPFS_OPTIONS)
    return mounted_at(folder).source == _TMPFS


def _out_of_memory(folder: Path) -> None:
    for point in (*mounts_below(folder), folder):
        unmount(point)


@contextlib.contextmanager
def _sole_owner(settings: DaemonSettings) -> Iterator[None]:
    """Two daemons over one state folder would undo each other's work: the second is refused."""
    with contextlib.ExitStack() as locks:
        for folder in (Path(settings.data_root), Path(settings.exec_root)):
            close_folder(folder)
            lock = os.open(folder / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            locks.callback(os.close, lock)
            os.fchmod(lock, 0o600)  # whoever can open it can lock it
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SkepError(
                    f"another skep daemon works in {folder}: give this one its own --data-root "
                    "and --exec-root"
                ) from None
        yield


@contextlib.contextmanager
def _pid_file(path: str) -> Iterator[None]:
    if not path:
        yield
        return
    file = Path(path)
    if _is_alive(file):
        raise SkepError(f"pid file {path} names a process that runs: is a daemon there already?")
    file.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _is_alive(file: Path) -> bool:
    try:
        pid = int(file.read_text())
        os.kill(pid, 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return pid != os.getpid()
