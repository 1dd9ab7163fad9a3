"""A second process in a running container, under a conmon of its own.

Each exec has an exit folder of its own: conmon names the exit file of an exec by the container's
id, so that in a shared folder an exec's end would look like the container's.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
from typing import Any

import msgspec

from skep.kit.errors import Conflict
from skep.runtime import attach
from skep.runtime.door import ExecSpec, Exit, Stream
from skep.runtime.oci import oci_exec_process
from skep.runtime.places import Place
from skep.runtime.processes import Meant, child_of, maker_of_exec, pids_of, send
from skep.runtime.spawn import Conmon
from skep.runtime.watch import ConmonWatch


class ExecSession:
    """A `door.Exec`."""

    def __init__(self, place: Place, stream: Stream | None, member: Meant) -> None:
        self._place = place
        self._member = member
        self._watch = ConmonWatch(place, self._at_end)
        self.pid = self._watch.pid
        self.conmon_pid = self._watch.conmon_pid
        self.stream = stream

    @property
    def ended(self) -> asyncio.Future[Exit]:
        return self._watch.ended

    async def wait(self) -> Exit:
        return await self._watch.wait()

    async def resize(self, rows: int, cols: int) -> None:
        self._place.tell_conmon(f"1 {rows} {cols}\n")

    async def kill(self, signum: int) -> None:
        if not self._watch.ended.done():
            send(self.pid, signum, self._member)

    def release(self) -> None:
        """Stop watching; the process runs on."""
        self._watch.release()

    def _at_end(self, end: Exit) -> Exit:
        shutil.rmtree(self._place.folder, ignore_errors=True)
        return end


async def start_exec(
    conmon: Conmon, container: Place, spec: ExecSpec, member: Meant
) -> ExecSession:
    """Run `spec` in the container at `container`, whose processes are `member`s of it. On failure
    nothing of it is left."""
    place = container.exec(spec.exec_id)
    place.folder.parent.mkdir(exist_ok=True)
    try:
        place.make()
    except FileExistsError:
        raise Conflict(f"exec {spec.exec_id} already runs") from None
    stream: attach.AttachStream | None = None

    async def attached() -> None:
        nonlocal stream
        stream = await attach.connect(place.folder)

    try:
        own = msgspec.json.decode(container.config.read_bytes(), type=_Config).process
        place.process.write_bytes(msgspec.json.encode(oci_exec_process(spec, own)))
        await conmon.exec(place, spec, attached)
        return ExecSession(place, stream, member)
    except BaseException:
        if stream is not None:
            stream.close()
        await asyncio.shield(asyncio.to_thread(_abandon, place))
        raise


def _abandon(place: Place) -> None:
    """End who still makes it: conmon, runc, and runc's own child inside, which may be stopped.
    Blocking: looks at every process of the machine."""
    maker = maker_of_exec(place.pidfile)
    for meant in (child_of(maker), maker):
        for pid in pids_of(meant):
            send(pid, signal.SIGKILL, meant)
    shutil.rmtree(place.folder, ignore_errors=True)


class _Config(msgspec.Struct):
    """The one part of config.json that an exec takes over."""

    process: dict[str, Any]
