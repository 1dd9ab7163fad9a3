"""The OCI runtime's command line (runc; crun by command only) and its words in errors."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from skep.kit import process
from skep.kit.errors import Conflict, Internal, NotFound, SkepError, Unavailable
from skep.runtime.door import CannotRun

COMMAND_TIMEOUT_S = 30.0

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
GO_ENVIRONMENT = {"GOMAXPROCS": "1"}
"""A runtime lives for 30 ms: one thread at work costs a tenth less than two that wait in turns."""

_CALLERS_FAULT = (
    "executable file not found",
    "no such file or directory",
    "permission denied",
    "not a directory",
    "is a directory",
    "invalid argument",
    "exec format error",
    "cannot be set",
    "not in a separate namespace",
    "no such device",
    "unknown",
)


class Runc:
    """One runtime program with its state below `root`; every method is one process."""

    def __init__(self, program: str, root: Path) -> None:
        self.program = program
        self.root = root
        self.environment = {**ENVIRONMENT, **GO_ENVIRONMENT}

    @property
    def is_runc(self) -> bool:
        """runc's state folder is known well enough to do simple things without a process."""
        return Path(self.program).name == "runc"

    def state_dir(self, container_id: str) -> Path:
        return self.root / container_id

    async def start(self, container_id: str) -> None:
        await self._run("start", container_id)

    async def update(self, container_id: str, resources: Path) -> None:
        await self._run("update", "--resources", str(resources), container_id)

    async def delete(self, container_id: str) -> None:
        """Kill and remove; nothing happens when it is not there."""
        await self._run("delete", "--force", container_id)

    async def _run(self, *words: str) -> None:
        argv = [self.program, "--root", str(self.root), "--log", os.devnull, *words]
        try:
            code, output = await process.run(argv, self.environment, COMMAND_TIMEOUT_S)
        except TimeoutError:
            raise Internal(
                f"{self.program} {words[0]} did not end within {COMMAND_TIMEOUT_S:.0f} s: "
                "the host is overloaded, or a file system hangs"
            ) from None
        if code:
            raise explained(words[0], output.decode(errors="replace"))


def explained(verb: str, message: str) -> SkepError:
    """The runtime's complaint as an error in docker's words, by whose fault it is."""
    reason = message.strip() or "no reason given"
    text = f"OCI runtime {verb} failed: {reason}"
    if "does not exist" in reason:
        return NotFound(text)
    if "cannot start" in reason or "not running" in reason or "stopped" in reason:
        return Conflict(text)
    if any(words in reason for words in _CALLERS_FAULT):
        return CannotRun(text, _exit_code(reason.lower()))
    return Internal(text)


def _exit_code(reason: str) -> int:
    """As docker reads it (source: moby daemon/errors.go, setExitCodeFromError)."""
    if "executable file not found" in reason or "no such file or directory" in reason:
        return 127
    return 126 if "permission denied" in reason or "is a directory" in reason else 128


def located(name: str, purpose: str, package: str) -> str:
    """The path of a program that we need. Raises Unavailable that says what to install."""
    path = process.find_program(name)
    if path is None:
        raise Unavailable(
            f'"{name}" is not installed, {purpose}: install the package {package} '
            f"(Debian: apt install {package})"
        )
    return path


def remove_state(folder: Path) -> None:
    """Forget a dead container as `runc delete` does: the folder is all that runc knows of it."""
    shutil.rmtree(folder, ignore_errors=True)
