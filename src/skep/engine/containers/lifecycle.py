"""How a container lives on this host: started, ended, started again, removed.

Each container has a turn: who changes what it is holds it. Starts of different containers wait for
each other only at runc's door, `live_starts` at a time. An end is first written down, then cleared
away, then told; a crash in between is found by discovery.py and goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from skep.engine.containers.bundle import Ground, HostFacts, bundle_of
from skep.engine.containers.container import Container, Places, Registry, settle, wait_among
from skep.engine.containers.ground import GroundWork
from skep.engine.containers.health import HealthWatch
from skep.engine.containers.links import ContainerLinks, unlinked
from skep.engine.containers.record import Record, RecordFolder
from skep.engine.containers.restart import next_delay_s, wants_restart
from skep.engine.containers.signals import DEFAULT_STOP, parse_signal
from skep.engine.events import Events
from skep.engine.settings import EngineSettings
from skep.engine.volumes import Volumes
from skep.kit.clock import utc_now
from skep.kit.errors import Conflict, Internal, NotFound, NotModified, SkepError
from skep.kit.files import remove_trees
from skep.runtime.door import Exit, Io, Runtime

_log = logging.getLogger(__name__)
_KILL_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
SIGKILL = 9
T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")


class Lifecycle:
    def __init__(
        self,
        settings: EngineSettings,
        facts: HostFacts,
        *,
        places: Places,
        folder: RecordFolder,
        registry: Registry,
        runtime: Runtime,
        ground: GroundWork,
        links: ContainerLinks,
        volumes: Volumes,
        events: Events,
        health: HealthWatch,
    ) -> None:
        self._settings = settings
        self._facts = facts
        self._places = places
        self._folder = folder
        self._registry = registry
        self._runtime = runtime
        self._ground = ground
        self._links = links
        self._volumes = volumes
        self._events = events
        self._health = health
        self._runc_turns = asyncio.Semaphore(settings.live_starts)
        self._under_way: set[asyncio.Task[Any]] = set()
        self._trash_turn = asyncio.Lock()

    # Start

    async def start(self, container: Container) -> None:
        """Run it. Not interrupted when the caller goes away."""
        await self._uninterrupted(self._start(container))

    async def _start(self, container: Container) -> None:
        async with container.turn:
            if container.paused:
                raise Conflict("cannot start a paused container, try unpause instead")
            if container.running:
                raise NotModified(f"container {container.name} is already running")
            if container.removing or container.dead:
                raise Conflict("container is marked for removal and cannot be started")
            self._cancel_restart(container)
            container.restart_delay_s = 0.0
            record = replace(container.record, manually_stopped=False, restart_count=0)
            await self._launch(container, record)

    async def _launch(self, container: Container, record: Record) -> None:
        """One run of a container, from its intent to its process. The turn is held.

        When it raises, nothing of the run is left, and the record says why.
        """
        try:
            linked = self._links.join(record)
            container.record = replace(
                linked,
                phase="started",
                started_at=utc_now(),
                exit_code=0,
                oom_killed=False,
                error="",
            )
            ground = await self._lay_ground(container)
            pid = await self._run(container, ground)
        except BaseException as error:
            await self._undo(container, record, error)
            raise
        self._is_running(container, pid)
        self.tell(container, "start")

    async def _lay_ground(self, container: Container) -> Ground:
        """Ground, sandbox and ports, side by side."""
        record = container.record
        around = self._links.surroundings(record)
        ground, ports, _ = await all_of(
            self._ground.prepare(record, around),
            self._links.publish(record),
            self._links.plug_in(record),
        )
        if ports != record.ports or not record.populated:
            container.record = replace(record, ports=ports, populated=True)
            await asyncio.to_thread(self._folder.note, container.record)
        return ground

    async def _run(self, container: Container, ground: Ground) -> int:
        record = container.record
        bundle = bundle_of(record, ground, self._facts)
        async with self._runc_turns:
            created = await self._runtime.create(bundle, self._io(record))
            await self._connect_lines(container)
            await self._runtime.start(container.id)
        return created.pid

    def _io(self, record: Record) -> Io:
        keeps_log = record.host_config.log_config.type != "none"
        return Io(
            log_path=self._places.log(record.id) if keeps_log else None,
            stdin=record.config.open_stdin,
            stdin_once=record.config.stdin_once,
        )

    async def _connect_lines(self, container: Container) -> None:
        """Clients that attached before the start miss nothing."""
        lines, container.lines = container.lines, []
        for line in lines:
            stream = await self._runtime.attach(container.id)
            if not line.connect(stream):
                stream.close()

    def _is_running(self, container: Container, pid: int) -> None:
        container.pid = pid
        container.paused = False
        container.restarting = False
        container.watch = self._task(self._watch(container), "watch")
        self._health.begin(container)

    async def _undo(self, container: Container, before: Record, error: BaseException) -> None:
        """Take a failed start back; what is left of it is the reason, in the record."""
        attempted = container.record
        for line in container.lines:
            line.give_up()
        container.lines = []
        await asyncio.shield(self._let_go(attempted))
        message = str(error)
        container.record = replace(
            before,
            exit_code=failed_start_code(message),
            error=message,
            populated=attempted.populated,
        )
        await asyncio.to_thread(self._folder.note, container.record)
        if before.host_config.auto_remove:
            self._task(self._remove(container, volumes=True), "remove")

    # End

    def adopt(self, container: Container, pid: int, *, paused: bool) -> None:
        """A container that was found running."""
        self._is_running(container, pid)
        container.paused = paused

    async def _watch(self, container: Container) -> None:
        try:
            end = await self._runtime.wait(container.id)
        except NotFound:
            return
        await self._uninterrupted(self.ended(container, end))

    async def ended(self, container: Container, end: Exit) -> None:
        """The process is no more: write it down, clear away, tell, and follow the policy."""
        async with container.turn:
            self._health.stop(container)
            ran_s = max((end.finished_at - container.record.started_at).total_seconds(), 0.0)
            again = not container.removing and self._wants_restart(container, end)
            container.record = replace(
                container.record,
                phase="exited",
                exit_code=end.code,
                oom_killed=end.oom_killed,
                finished_at=end.finished_at,
            )
            if not container.removing:
                await asyncio.to_thread(self._folder.note, container.record)
            await self._let_go(container.record)
            container.record = unlinked(container.record)
            container.pid = 0
            container.paused = False
            if again:
                self._restart_later(container, ran_s)
        if end.oom_killed:
            self.tell(container, "oom")
        self.tell(container, "die", exitCode=str(end.code), execDuration=str(int(ran_s)))
        settle(container.exits)
        if container.record.host_config.auto_remove and not container.removing:
            await self._remove(container, volumes=True)

    def _wants_restart(self, container: Container, end: Exit) -> bool:
        record = container.record
        return wants_restart(
            record.host_config.restart_policy,
            exit_code=end.code,
            restarts=record.restart_count,
            manually_stopped=record.manually_stopped,
        )

    async def _let_go(self, record: Record) -> None:
        """Remove every trace of a run; idempotent. One failing part does not keep the others."""
        ended = await asyncio.gather(
            self._runtime.delete(record.id, force=True),
            self._links.unpublish(record),
            return_exceptions=True,
        )
        cleared = await asyncio.gather(
            self._links.unplug(record), self._ground.clear(record), return_exceptions=True
        )
        self._links.leave(record)
        for result in (*ended, *cleared):
            if isinstance(result, BaseException):
                _log.warning("container %s: cleaning up: %s", record.short_id, result)

    # Restart by policy

    def _restart_later(self, container: Container, ran_s: float) -> None:
        container.restarting = True
        container.restart_delay_s = next_delay_s(container.restart_delay_s, ran_s)
        container.restart = self._task(self._restart(container), "restart")

    async def _restart(self, container: Container) -> None:
        await asyncio.sleep(container.restart_delay_s)
        await self._uninterrupted(self._restart_now(container))

    async def _restart_now(self, container: Container) -> None:
        async with container.turn:
            if not container.restarting:
                return
            record = replace(container.record, restart_count=container.record.restart_count + 1)
            container.record = record
            try:
                await self._launch(container, record)
            except SkepError as error:
                _log.warning("container %s: restart failed: %s", record.short_id, error)
                failed = Exit(code=container.record.exit_code, finished_at=utc_now())
                container.restarting = False
                if self._wants_restart(container, failed):
                    self._restart_later(container, 0.0)
        settle(container.exits)

    def restart_soon(self, container: Container) -> None:
        """At the engine's start, for a container that its policy wants to run."""
        self._restart_later(container, 0.0)

    def _cancel_restart(self, container: Container) -> None:
        container.restarting = False
        if container.restart is not None:
            container.restart.cancel()
            container.restart = None

    # Stop

    async def stop(self, container: Container, signal: str, timeout_s: int | None) -> None:
        """Signal it, and kill it when that does not help. NotModified when it does not run."""
        number = parse_signal(signal or container.record.config.stop_signal or DEFAULT_STOP)
        if not await self._mark_stopped(container):
            raise NotModified(f"container {container.name} is already stopped")
        await self._end(container, number, self._patience_s(container, timeout_s))
        self.tell(container, "stop")

    async def _mark_stopped(self, container: Container) -> bool:
        """Write down that a person stopped it; False when there is nothing to end any more."""
        async with container.turn:
            if container.restarting:
                self._cancel_restart(container)
                await self._note(container, manually_stopped=True)
                settle(container.exits)
                return True
            if container.running:
                await self._note(container, manually_stopped=True)
            return container.running

    async def _note(self, container: Container, **changes: Any) -> None:
        """Change the record; the turn is held."""
        container.record = replace(container.record, **changes)
        await asyncio.to_thread(self._folder.note, container.record)

    def _patience_s(self, container: Container, timeout_s: int | None) -> float | None:
        """None is for ever."""
        said = container.record.config.stop_timeout if timeout_s is None else timeout_s
        if said is None:
            return float(self._settings.default_stop_timeout_s)
        return None if said < 0 else float(said)

    async def _end(self, container: Container, number: int, patience_s: float | None) -> None:
        if not container.running:
            return
        self.tell(container, "kill", signal=str(number))
        await self._signal(container, number)
        if number == SIGKILL:
            patience_s = _KILL_TIMEOUT_S
        if await self._gone_within(container, patience_s):
            return
        self.tell(container, "kill", signal=str(SIGKILL))
        await self._signal(container, SIGKILL)
        if not await self._gone_within(container, _KILL_TIMEOUT_S):
            raise Internal(
                f"container {container.short_id} does not end although it was killed:"
                " one of its processes hangs in a device or a disk"
            )

    async def _gone_within(self, container: Container, seconds: float | None) -> bool:
        if not container.running:
            return True
        try:
            await asyncio.wait_for(wait_among(container.exits), seconds)
        except TimeoutError:
            return False
        return True

    async def _signal(self, container: Container, number: int) -> None:
        """A frozen process would not see it; one that just ended needs none."""
        try:
            await self._runtime.signal(container.id, number)
            if container.paused:
                await self._runtime.resume(container.id)
                container.paused = False
        except (Conflict, NotFound):
            return

    async def kill(self, container: Container, signal: str) -> None:
        """Send a signal; one that means the end cancels restarts."""
        number = parse_signal(signal or "KILL")
        if not container.running:
            raise Conflict(
                f"cannot kill container: {container.name}: container {container.id} is not running"
            )
        stops = {SIGKILL, parse_signal(container.record.config.stop_signal or DEFAULT_STOP)}
        if number in stops:
            async with container.turn:
                await self._note(container, manually_stopped=True)
        if number == SIGKILL:
            await self._end(container, SIGKILL, _KILL_TIMEOUT_S)
            return
        await self._signal(container, number)
        self.tell(container, "kill", signal=str(number))

    async def restart(self, container: Container, signal: str, timeout_s: int | None) -> None:
        try:
            await self.stop(container, signal, timeout_s)
        except NotModified:
            pass
        await self.start(container)
        self.tell(container, "restart")

    async def pause(self, container: Container) -> None:
        async with container.turn:
            container.require_running()
            if container.paused:
                raise Conflict(f"Container {container.name} is already paused")
            await self._runtime.pause(container.id)
            container.paused = True
        self.tell(container, "pause")

    async def unpause(self, container: Container) -> None:
        async with container.turn:
            if not container.paused:
                raise Conflict(f"Container {container.name} is not paused")
            await self._runtime.resume(container.id)
            container.paused = False
        self.tell(container, "unpause")

    # Remove

    async def remove(self, container: Container, *, force: bool, volumes: bool) -> None:
        if container.removing:
            raise Conflict(f"removal of container {container.name} is already in progress")
        if container.running and not force:
            state = (
                "paused and must be unpaused first"
                if container.paused
                else ("running: stop the container before removing or force remove")
            )
            raise Conflict(f'cannot remove container "{container.name}": container is {state}')
        await self._uninterrupted(self._remove(container, volumes=volumes))

    async def _remove(self, container: Container, *, volumes: bool) -> None:
        if container.removing:
            return
        container.removing = True
        self._cancel_restart(container)
        try:
            if container.running:
                await self._end(container, SIGKILL, _KILL_TIMEOUT_S)
            async with container.turn:
                await self._forget(container)
        except BaseException:
            container.removing = False
            raise
        if volumes:
            await self._volumes.remove_anonymous(
                [mount.source for mount in container.record.mounts if mount.anonymous]
            )
        settle(container.exits)
        settle(container.removals)
        self.tell(container, "destroy")

    async def _forget(self, container: Container) -> None:
        """From one moment to the next there is no such container; its files go later."""
        rest = await asyncio.to_thread(self._folder.discard, container.id, self._places.trash)
        self._registry.discard(container)
        for line in container.lines:
            line.give_up()
        if rest is not None:
            self._task(self._throw_away(rest), "trash")

    async def _throw_away(self, rest: Path) -> None:
        """Delete files, one container's at a time; what a crash leaves goes at the next start."""
        async with self._trash_turn:
            try:
                await asyncio.to_thread(remove_trees, [rest])
            except OSError as error:
                _log.warning("cannot delete %s: %s", rest, error)

    # Inside

    def tell(self, container: Container, action: str, **attributes: str) -> None:
        record = container.record
        self._events.emit(
            "container",
            action,
            record.id,
            {
                **record.config.labels,
                "image": record.config.image,
                "name": record.name,
                **attributes,
            },
        )

    def _task(self, work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"container-{what}")
        self._under_way.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, SkepError):
            _log.error("%s failed", task.get_name(), exc_info=error)

    async def _uninterrupted(self, work: Coroutine[Any, Any, T]) -> T:
        """Go on with it even when the caller goes away; errors reach whoever still waits."""
        task = asyncio.create_task(work, name="container-step")
        self._under_way.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Finish steps under way, stop watching; containers run on."""
        for container in self._registry:
            self._health.stop(container)
            for task in (container.watch, container.restart):
                if task is not None:
                    task.cancel()
        if self._under_way:
            await asyncio.wait(set(self._under_way), timeout=_STOP_TIMEOUT_S)
        for task in set(self._under_way):
            task.cancel()
        if self._under_way:
            await asyncio.wait(set(self._under_way), timeout=_STOP_TIMEOUT_S)


async def all_of(one: Awaitable[T], two: Awaitable[U], three: Awaitable[V]) -> tuple[T, U, V]:
    """All results, or the first error after all have ended: nothing goes on behind our back."""
    results = await asyncio.gather(one, two, three, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast(tuple[T, U, V], results)


def failed_start_code(message: str) -> int:
    """The exit code that docker gives a container whose program could not be run."""
    words = message.lower()
    if any(text in words for text in ("executable file not found", "no such file or directory")):
        return 127
    if "permission denied" in words or "is a directory" in words:
        return 126
    return 128
