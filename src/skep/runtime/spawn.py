"""Starting conmon, and the three pipes on which it speaks while it starts.

    _OCI_SYNCPIPE    conmon tells the pid, or why there is none, as one line of JSON
    _OCI_STARTPIPE   conmon waits for a byte before it does anything, and in an attached exec for
                     a second one before it runs the program
    _OCI_ATTACHPIPE  conmon tells that its attach socket listens (attached exec only)

Source: conmon's conmon.c and ctr_exit.c, version 2.1; the way Podman and CRI-O use it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from skep.kit import process
from skep.kit.errors import Internal
from skep.runtime.door import ExecSpec, Io
from skep.runtime.places import Place
from skep.runtime.runc import Runc, explained


class _Told(msgspec.Struct):
    data: int
    message: str = ""


class Conmon:
    """The conmon program, set up for one runtime."""

    def __init__(self, program: str, runc: Runc) -> None:
        self.program = program
        self._runc = runc

    async def create(self, place: Place, io: Io, *, terminal: bool) -> int:
        """`runc create` for the bundle at `place`; gives the init's pid."""
        log = f"k8s-file:{io.log_path}" if io.log_path is not None else "none"
        argv = [*self._common(place), "--bundle", str(place.folder), "--log-path", log]
        argv += _streams(terminal=terminal, stdin=io.stdin, keep_stdin=not io.stdin_once)
        return await self._run("create", argv)

    async def exec(
        self, place: Place, spec: ExecSpec, attached: Callable[[], Awaitable[None]]
    ) -> int:
        """`runc exec` of the process.json at `place`; gives its pid.

        `attached` is awaited once the socket listens, before the program runs.
        """
        argv = [*self._common(place), "--bundle", str(place.folder), "--log-path", "none"]
        argv += ["--exec", "--exec-process-spec", str(place.process)]
        argv += _streams(terminal=spec.terminal, stdin=spec.stdin, keep_stdin=False)
        if not spec.attach:
            return await self._run("exec", argv)
        return await self._exec_attached([*argv, "--exec-attach"], attached)

    async def _run(self, verb: str, argv: list[str]) -> int:
        sync, theirs = _pipe()
        try:
            async with self._spawn(argv, {"_OCI_SYNCPIPE": theirs}) as child:
                return await self._told_pid(verb, child, sync)
        finally:
            os.close(sync)

    async def _exec_attached(self, argv: list[str], attached: Callable[[], Awaitable[None]]) -> int:
        sync, sync_theirs = _pipe()
        listening, listening_theirs = _pipe()
        start_theirs, start = os.pipe2(os.O_CLOEXEC)
        try:
            pipes = {
                "_OCI_SYNCPIPE": sync_theirs,
                "_OCI_STARTPIPE": start_theirs,
                "_OCI_ATTACHPIPE": listening_theirs,
            }
            async with self._spawn(argv, pipes) as child:
                os.write(start, b"0")
                if await process.read_until(listening, b"\n"):
                    await attached()
                    os.write(start, b"0")
                return await self._told_pid("exec", child, sync)
        finally:
            for descriptor in (sync, start, listening):
                os.close(descriptor)

    def _common(self, place: Place) -> list[str]:
        return [
            self.program,
            "--api-version", "1",
            "--cid", place.container_id,
            "--cuuid", place.container_id,
            "--runtime", self._runc.program,
            "--runtime-arg=--root", f"--runtime-arg={self._runc.root}",
            "--runtime-arg=--log", f"--runtime-arg={os.devnull}",
            "--container-pidfile", str(place.pidfile),
            "--conmon-pidfile", str(place.conmon_pidfile),
            "--exit-dir", str(place.exit_dir),
            "--full-attach",
            "--no-sync-log",
            "--log-level", "error",
        ]  # fmt: skip

    def _spawn(self, argv: list[str], pipes: dict[str, int]) -> process.Child:
        """conmon's first process. Its ends of the pipes are closed here."""
        names = {name: str(descriptor) for name, descriptor in pipes.items()}
        environment = {**self._runc.environment, **names}
        try:
            return process.Child(argv, environment, keep_fds=pipes.values())
        finally:
            for descriptor in pipes.values():
                os.close(descriptor)

    async def _told_pid(self, verb: str, child: process.Child, sync: int) -> int:
        """conmon's first process ends as soon as its pid file is written; its child tells.

        A quick exec's exit code may follow on a second line; the exit file has it too.
        """
        code = await child.ended()
        lines = await process.read_until(sync, b"\n")
        try:
            told = msgspec.json.decode(lines.partition(b"\n")[0], type=_Told)
        except msgspec.DecodeError:
            raise Internal(
                f"{Path(self.program).name} ended before the container was made (exit code {code})"
            ) from None
        if told.data <= 0:
            raise explained(verb, told.message)
        return told.data


def _pipe() -> tuple[int, int]:
    """Our end does not block, theirs does."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(ours, False)
    return ours, theirs


def _streams(*, terminal: bool, stdin: bool, keep_stdin: bool) -> list[str]:
    flags = {"--terminal": terminal, "--stdin": stdin, "--leave-stdin-open": stdin and keep_stdin}
    return [flag for flag, wanted in flags.items() if wanted]
