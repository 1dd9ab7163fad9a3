"""The real `Runtime`: runc under conmon.

create spawns conmon, which runs `runc create`, tells the pid through a pipe and stays as the
container's parent: it keeps the log, the terminal and, at the end, the exit code. We watch conmon's
pidfd; when conmon is gone, the exit file says why.

Hot paths save processes where runc's own files allow it: `start` opens exec.fifo as `runc start`
does, `delete` of a dead container removes its state folder and cgroups. For another runtime than
runc, its commands do both.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from skep.kit import process
from skep.kit.errors import Conflict, Internal, NotFound, NotModified
from skep.kit.files import close_folder
from skep.runtime import apparmor, attach, cgroups
from skep.runtime.apparmor import DefaultProfile
from skep.runtime.bundle import Bundle, Limits
from skep.runtime.cgroups import Cgroup, Stats
from skep.runtime.door import Created, Exec, ExecSpec, Exit, Io, ProcessState, Stream
from skep.runtime.execs import ExecSession, start_exec
from skep.runtime.oci import oci_config, oci_resources
from skep.runtime.places import Place
from skep.runtime.probe import run_probe
from skep.runtime.processes import (
    Meant,
    becomes,
    is_conmon_of,
    is_member,
    maker_of,
    one_of,
    pids_of,
    send,
    until,
)
from skep.runtime.runc import Runc, located, remove_state
from skep.runtime.spawn import Conmon
from skep.runtime.watch import ConmonWatch

log = logging.getLogger(__name__)

_CREATE_TIMEOUT_S = 120.0
_START_TIMEOUT_S = 30.0
_EXEC_TIMEOUT_S = 60.0
_KILL_TIMEOUT_S = 20.0
_FREEZE_TIMEOUT_S = 10.0


class ConmonRuntime:
    """`door.Runtime` on this host.

    `exec_root` must be on a tmpfs of this machine's own and belongs to this instance alone;
    `cgroup_parent` ("/skep-1a2b") likewise. `runtime` and `conmon` are names or paths of programs.
    Raises Unavailable when one is not installed.
    """

    def __init__(
        self,
        exec_root: Path,
        *,
        cgroup_parent: str,
        runtime: str = "runc",
        conmon: str = "conmon",
    ) -> None:
        self._bundles = exec_root / "bundles"
        close_folder(self._bundles)
        self._cgroup_parent = cgroup_parent
        self._runc = Runc(located(runtime, "no container can be run", runtime), exec_root / "runc")
        self._conmon = Conmon(located(conmon, "no container can be watched", "conmon"), self._runc)
        self._hierarchies = cgroups.of_this_host()
        self._conmons_let_go = Cgroup(self._hierarchies, f"{cgroup_parent}/conmon")
        self._default_profile = DefaultProfile(exec_root, apparmor.of_this_host())
        self._watched: dict[str, ConmonWatch] = {}
        self._execs: set[ExecSession] = set()

    # --- life -------------------------------------------------------------------------------

    async def probe(self) -> None:
        await run_probe(self, self._bundles.parent / "probe", self._runc.program)

    async def create(self, bundle: Bundle, io: Io) -> Created:
        place = self._place(bundle.id)
        if bundle.cgroup_path is None:
            bundle = msgspec.structs.replace(bundle, cgroup_path=self._cgroup_path(bundle.id))
        if bundle.apparmor_profile == apparmor.DEFAULT_PROFILE:
            await self._default_profile.ensure()
        try:
            place.make()
        except FileExistsError:
            raise Conflict(f"container {bundle.id} already has a process here") from None
        try:
            with self._with_pid_namespace(bundle) as bundle:
                config = oci_config(bundle, unified=self._hierarchies.is_unified)
                place.config.write_bytes(msgspec.json.encode(config))
                async with asyncio.timeout(_CREATE_TIMEOUT_S):
                    await self._conmon.create(place, io, terminal=bundle.terminal)
        except BaseException as error:
            await asyncio.shield(self.repair(bundle.id))
            if isinstance(error, TimeoutError):
                raise Internal(
                    f"the container was not created within {_CREATE_TIMEOUT_S:.0f} s"
                ) from None
            raise
        watched = self._watch(bundle.id)
        return Created(pid=watched.pid, conmon_pid=watched.conmon_pid)

    async def start(self, container_id: str) -> None:
        watched = self._require(container_id)
        if not self._runc.is_runc:
            await self._runc.start(container_id)
            return
        fifo = self._fifo(container_id)
        try:
            descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotModified(f"container {container_id} is already started") from None
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                released = await _first_byte(descriptor, watched.ended)
        finally:
            os.close(descriptor)
        if not released:
            raise Conflict(f"container {container_id} ended before it was started")
        fifo.unlink(missing_ok=True)

    async def signal(self, container_id: str, signum: int, *, everyone: bool = False) -> None:
        watched = self._require(container_id)
        if watched.ended.done():
            raise Conflict(f"Container {container_id} is not running")
        pids = self._cgroup(container_id).processes() if everyone else [watched.pid]
        for pid in pids:
            send(pid, signum, self._member(container_id))

    async def pause(self, container_id: str) -> None:
        await self._freeze(container_id, frozen=True)

    async def resume(self, container_id: str) -> None:
        await self._freeze(container_id, frozen=False)

    async def wait(self, container_id: str) -> Exit:
        return await self._require(container_id).wait()

    async def delete(self, container_id: str, *, force: bool = False) -> None:
        watched = self._watched.get(container_id)
        if watched is not None and not watched.ended.done() and not force:
            raise Conflict(
                f"container {container_id} is running: stop it before removal, or force it"
            )
        await self.repair(container_id)

    async def repair(self, container_id: str) -> None:
        place = self._place(container_id)
        await self._end_processes(container_id, place)
        self._forget(container_id)
        if self._runc.is_runc:
            remove_state(self._runc.state_dir(container_id))
        elif self._runc.state_dir(container_id).exists():
            await self._runc.delete(container_id)
        await until(self._cgroup(container_id).remove, _KILL_TIMEOUT_S, "its cgroup is in use")
        place.config.unlink(missing_ok=True)
        shutil.rmtree(place.folder, ignore_errors=True)
        if self._conmons_let_go.exists():
            self._conmons_let_go.remove_if_empty()

    # --- streams ----------------------------------------------------------------------------

    async def attach(self, container_id: str) -> Stream:
        self._require(container_id)
        return await attach.connect(self._place(container_id).folder)

    async def resize(self, container_id: str, rows: int, cols: int) -> None:
        self._place(container_id).tell_conmon(f"1 {rows} {cols}\n")

    async def reopen_log(self, container_id: str) -> None:
        self._place(container_id).tell_conmon("2 0 0\n")

    async def exec(self, container_id: str, spec: ExecSpec) -> Exec:
        watched = self._require(container_id)
        if watched.ended.done() or self._fifo(container_id).exists():
            raise Conflict(f"container {container_id} is not running")
        try:
            async with asyncio.timeout(_EXEC_TIMEOUT_S):
                session = await start_exec(
                    self._conmon, self._place(container_id), spec, self._member(container_id)
                )
        except TimeoutError:
            raise Internal(
                f"the process was not started within {_EXEC_TIMEOUT_S:g} s: the container is out"
                " of processor time, or stops what enters it"
            ) from None
        self._execs.add(session)
        session.ended.add_done_callback(lambda _: self._execs.discard(session))
        return session

    # --- what is there ----------------------------------------------------------------------

    async def find(self, container_id: str) -> ProcessState:
        place = self._place(container_id)
        if not place.folder.exists():
            state_left = self._runc.state_dir(container_id).exists()
            left = state_left or self._cgroup(container_id).exists()
            return ProcessState(id=container_id, state="partial" if left else "absent")
        pid, conmon_pid = place.pid(), place.conmon_pid()
        watches = is_conmon_of(conmon_pid, container_id)
        lives = is_member(pid, self._cgroup_path(container_id))
        created = self._fifo(container_id).exists()
        cut_off = created and not watches  # its conmon went with skep, before the start
        if not place.config.exists() or not pid or cut_off:
            return ProcessState(id=container_id, state="partial", pid=pid, conmon_pid=conmon_pid)
        if lives and not watches:
            return ProcessState(id=container_id, state="orphaned", pid=pid)
        watched = self._watched.get(container_id) or self._watch(container_id)
        if not watches:
            return ProcessState(id=container_id, state="exited", exit=await watched.wait())
        return ProcessState(
            id=container_id,
            state="created" if created else "running",
            pid=pid,
            conmon_pid=conmon_pid,
            paused=self._cgroup(container_id).is_frozen(),
        )

    async def discover(self) -> list[ProcessState]:
        ids = {entry.name for entry in self._bundles.iterdir()}
        if self._runc.root.exists():
            ids |= {entry.name for entry in self._runc.root.iterdir()}
        return [await self.find(container_id) for container_id in sorted(ids)]

    async def stats(self, container_id: str) -> Stats:
        return self._cgroup(container_id).stats()

    async def processes(self, container_id: str) -> list[int]:
        return self._cgroup(container_id).processes()

    async def update(self, container_id: str, resources: Limits) -> None:
        self._require(container_id)
        path = self._place(container_id).folder / "update.json"
        path.write_bytes(msgspec.json.encode(oci_resources(resources)))
        await self._runc.update(container_id, path)

    async def close(self) -> None:
        await asyncio.to_thread(self._let_conmons_go)
        for session in list(self._execs):
            session.release()
        for container_id in list(self._watched):
            self._forget(container_id)
        self._conmons_let_go.remove_if_empty()
        Cgroup(self._hierarchies, self._cgroup_parent).remove_if_empty()

    # --- inside -----------------------------------------------------------------------------

    def _place(self, container_id: str) -> Place:
        return Place(self._bundles / container_id, container_id)

    def _fifo(self, container_id: str) -> Path:
        """There from create to start."""
        return self._runc.state_dir(container_id) / "exec.fifo"

    def _cgroup_path(self, container_id: str) -> str:
        return f"{self._cgroup_parent}/{container_id}"

    def _cgroup(self, container_id: str) -> Cgroup:
        return Cgroup(self._hierarchies, self._cgroup_path(container_id))

    def _member(self, container_id: str) -> Meant:
        path = self._cgroup_path(container_id)
        return lambda pid: is_member(pid, path)

    @contextmanager
    def _with_pid_namespace(self, bundle: Bundle) -> Iterator[Bundle]:
        """The bundle with the path of the pid namespace that it wants to join, which is held.

        Held first and checked then: the process whose it was may end, and its number be another's.
        """
        partner = bundle.pid_namespace_of
        if partner is None:
            yield bundle
            return
        pid = self._require(partner).pid
        try:
            held = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            raise _cannot_join(partner) from None
        try:
            if not is_member(pid, self._cgroup_path(partner)):
                raise _cannot_join(partner)
            path = f"/proc/{os.getpid()}/fd/{held}"
            yield msgspec.structs.replace(bundle, pid_namespace=path)
        finally:
            os.close(held)

    def _require(self, container_id: str) -> ConmonWatch:
        try:
            return self._watched[container_id]
        except KeyError:
            raise NotFound(f"No such container process: {container_id}") from None

    def _watch(self, container_id: str) -> ConmonWatch:
        cgroup = self._cgroup(container_id)

        def with_memory_kills(end: Exit) -> Exit:
            return msgspec.structs.replace(end, oom_killed=cgroup.memory_kills() > 0)

        watch = ConmonWatch(self._place(container_id), with_memory_kills)
        self._watched[container_id] = watch
        return watch

    def _let_conmons_go(self) -> None:
        """Out of our own cgroup: systemd takes what is left in a unit that ended for a mistake."""
        kept: list[ConmonWatch | ExecSession] = [*self._watched.values(), *self._execs]
        pids = [each.conmon_pid for each in kept if not each.ended.done()]
        if not pids:
            return
        try:
            self._conmons_let_go.take_in(pids)
        except OSError as error:
            log.warning("the containers' conmons stay in the daemon's own cgroup: %s", error)

    def _forget(self, container_id: str) -> None:
        watched = self._watched.pop(container_id, None)
        if watched is not None:
            watched.release()

    async def _freeze(self, container_id: str, *, frozen: bool) -> None:
        watched = self._require(container_id)
        if watched.ended.done():
            raise Conflict(f"Container {container_id} is not running")
        cgroup = self._cgroup(container_id)

        def settled() -> bool:
            """A program that is just being executed freezes halfway (v1): let go, try again."""
            if cgroup.is_frozen() == frozen:
                return True
            cgroup.freeze(False)
            cgroup.freeze(frozen)
            return cgroup.is_frozen() == frozen

        await until(settled, _FREEZE_TIMEOUT_S, "a process cannot be frozen")

    async def _end_processes(self, container_id: str, place: Place) -> None:
        """Kill what lives: who may still be making it first, then who is in it."""
        if not place.pid():
            await self._end_makers(container_id)
        conmon_pid = place.conmon_pid()
        if container_id not in self._watched and conmon_pid:
            send(conmon_pid, signal.SIGKILL, lambda pid: is_conmon_of(pid, container_id))
        cgroup = self._cgroup(container_id)

        def killed() -> bool:
            pids = cgroup.processes()
            for pid in pids:
                send(pid, signal.SIGKILL, self._member(container_id))
            if pids:
                cgroup.freeze(False)  # the frozen cannot die (v1)
            return not pids

        await until(killed, _KILL_TIMEOUT_S, "a process does not die: a device or a disk hangs")
        if is_conmon_of(conmon_pid, container_id):
            await asyncio.wait_for(process.ended(conmon_pid), _KILL_TIMEOUT_S)

    async def _end_makers(self, container_id: str) -> None:
        """A create that was cut off: its conmon may have no pid file yet, its runc has none."""
        maker = maker_of(container_id, self._runc.root)
        maybe = one_of(becomes(self._conmon.program), becomes(self._runc.program), maker)

        def killed() -> bool:
            pids = pids_of(maybe)
            for pid in pids:
                send(pid, signal.SIGKILL, maker)
            return not pids

        await until(killed, _KILL_TIMEOUT_S, "conmon or the runtime does not die")


def _cannot_join(container_id: str) -> Conflict:
    return Conflict(f"cannot join PID namespace of a non running container: {container_id}")


async def _first_byte(descriptor: int, ended: asyncio.Future[Exit]) -> bool:
    """Whether the init wrote its byte; False when the container ended instead.

    Opening the fifo is what the init waits for; a read before it wrote finds no writer.
    """
    readable = asyncio.ensure_future(process.readable(descriptor))
    either: set[asyncio.Future[Any]] = {readable, ended}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        readable.cancel()
    try:
        return os.read(descriptor, 1) == b"0"
    except BlockingIOError:
        return False
