"""Where a container's process leaves its traces: names of files, read without waiting.

    <exec_root>/runc/<id>/            runc's own state (its --root)
    <exec_root>/bundles/<id>/         one container, in this order of birth:
        config.json                     the OCI configuration
        exit/                           conmon writes the exit code here, in a file named <id>
        conmon.pid  pidfile             who watches, who is watched
        attach  ctl                     conmon's socket and control fifo
        execs/<exec id>/                the same for each exec

exec_root lies on a tmpfs (/run): nothing here outlives the machine, and nothing waits for a disk.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from skep.runtime.door import Exit

LOST_CODE = 255
"""The exit code that is shown when nobody saw the real one."""


class Place:
    """The folder of one container, or of one exec; `container_id` names the exit file in both."""

    def __init__(self, folder: Path, container_id: str) -> None:
        self.folder = folder
        self.container_id = container_id
        self.config = folder / "config.json"
        self.process = folder / "process.json"
        self.exit_dir = folder / "exit"
        self.pidfile = folder / "pidfile"
        self.conmon_pidfile = folder / "conmon.pid"
        self.control = folder / "ctl"

    def make(self) -> None:
        """The folders; raises FileExistsError when the place is taken."""
        self.folder.mkdir(mode=0o700)
        self.exit_dir.mkdir()

    def exec(self, exec_id: str) -> Place:
        return Place(self.folder / "execs" / exec_id, self.container_id)

    def pid(self) -> int:
        """Of the process, 0 when none was made."""
        return _read_number(self.pidfile) or 0

    def conmon_pid(self) -> int:
        """Of its conmon, 0 when none was made."""
        return _read_number(self.conmon_pidfile) or 0

    def exit(self) -> Exit | None:
        """How the process ended; None when conmon did not write it (yet)."""
        path = self.exit_dir / self.container_id
        code = _read_number(path)
        if code is None:
            return None
        finished_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return Exit(code=code, finished_at=finished_at)

    def tell_conmon(self, line: str) -> None:
        """Write to conmon's control fifo; nothing happens when conmon is gone."""
        try:
            descriptor = os.open(self.control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
