"""One run of a container: from the intent, over the process, to the end and what follows it.

Starts of different containers wait for each other only at runc's door, `live_starts` at a time. An
end is first written down, then cleared away, then told; a crash in between is found by discovery.py
and goes on from there. A disk that refuses the writing holds up nothing (notes.py). Whoever changes
what a container is holds its turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from skep.engine.containers.base import Base
from skep.engine.containers.bundle import Ground, bundle_of
from skep.engine.containers.container import Container, settle
from skep.engine.containers.health import HealthWatch
from skep.engine.containers.links import ContainerLinks, unlinked
from skep.engine.containers.preparation import GroundWork
from skep.engine.containers.record import Record
from skep.engine.containers.restart import next_delay_s, wants_restart
from skep.kit.clock import elapsed_s, utc_now
from skep.kit.errors import NotFound, SkepError
from skep.kit.locks import Turns
from skep.runtime.door import CannotRun, Exit, Io

_log = logging.getLogger(__name__)
_TURN_S = 5.0
"""A start that takes longer waits for a disk, and not for the processor."""
T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")


class Runs:
    """`auto_remove` takes away a container that asked for it, after its end."""

    def __init__(
        self,
        base: Base,
        ground: GroundWork,
        links: ContainerLinks,
        health: HealthWatch,
        auto_remove: Callable[[Container], Coroutine[Any, Any, None]],
    ) -> None:
        self._base = base
        self._ground = ground
        self._links = links
        self._health = health
        self._auto_remove = auto_remove
        self._runc_turns = Turns(base.settings.live_starts, _TURN_S)
        self.going_down = False
        """The machine is: what ends now starts again with it, not before."""

    # Start

    async def launch(self, container: Container, record: Record) -> None:
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
            container.started_s = elapsed_s()
            ground = await self._lay_ground(container)
            pid = await self._run(container, ground)
        except BaseException as error:
            await self._undo(container, record, error)
            raise
        self._is_running(container, pid)
        self._base.tell(container, "start")

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
            await asyncio.to_thread(self._base.folder.note, container.record)
        return ground

    async def _run(self, container: Container, ground: Ground) -> int:
        record = container.record
        bundle = bundle_of(record, ground, self._base.facts)
        async with self._runc_turns.hold():
            created = await self._base.runtime.create(bundle, self._io(record))
            await self._connect_lines(container)
            await self._base.runtime.start(container.id)
        return created.pid

    def _io(self, record: Record) -> Io:
        keeps_log = record.host_config.log_config.type != "none"
        return Io(
            log_path=self._base.places.log(record.id) if keeps_log else None,
            stdin=record.config.open_stdin,
            stdin_once=record.config.stdin_once,
        )

    async def _connect_lines(self, container: Container) -> None:
        """Clients that attached before the start miss nothing."""
        for line in list(container.lines):
            stream = await self._base.runtime.attach(container.id)
            if not line.connect(stream):
                stream.close()
        container.lines[:] = [line for line in container.lines if line.waits]

    def _is_running(self, container: Container, pid: int) -> None:
        container.pid = pid
        container.paused = False
        container.restarting = False
        container.watch = self._base.jobs.start(self._watch(container), "a container's watch")
        self._health.begin(container)

    async def _undo(self, container: Container, before: Record, error: BaseException) -> None:
        """Take a failed start back; what is left of it is the reason, in the record."""
        attempted = container.record
        for line in container.lines:
            line.give_up()
        container.lines.clear()
        await asyncio.shield(self.let_go(attempted))
        container.record = replace(
            before,
            exit_code=error.exit_code if isinstance(error, CannotRun) else 128,
            error=str(error),
            populated=attempted.populated,
        )
        await self._base.notes.keep(container)
        if before.host_config.auto_remove:
            self._base.jobs.start(self._auto_remove(container), "a container's removal")

    # End

    def adopt(self, container: Container, pid: int, *, paused: bool) -> None:
        """A container that was found running."""
        self._is_running(container, pid)
        container.paused = paused

    async def _watch(self, container: Container) -> None:
        try:
            end = await self._base.runtime.wait(container.id)
        except NotFound:
            return
        await self._base.jobs.carry_through(self.ended(container, end), "a container's end")

    async def ended(self, container: Container, end: Exit) -> None:
        """The process is no more: write it down, clear away, tell, and follow the policy."""
        async with container.turn:
            self._health.stop(container)
            ran_s = _ran_s(container, end)
            container.record = replace(
                container.record,
                phase="exited",
                exit_code=end.code,
                oom_killed=end.oom_killed,
                finished_at=end.finished_at,
            )
            if not container.removing:
                await self._base.notes.keep(container)
            await self.let_go(container.record)
            container.record = unlinked(container.record)
            container.pid = 0
            container.paused = False
            if self._wants_restart(container, end):  # asked last: it may be removed by now
                self._restart_later(container, ran_s)
        if end.oom_killed:
            self._base.tell(container, "oom")
        self._base.tell(container, "die", exitCode=str(end.code), execDuration=str(int(ran_s)))
        settle(container.exits)
        if container.record.host_config.auto_remove and not container.removing:
            await self._auto_remove(container)

    def _wants_restart(self, container: Container, end: Exit) -> bool:
        record = container.record
        return not (self.going_down or container.removing) and wants_restart(
            record.host_config.restart_policy,
            exit_code=end.code,
            restarts=record.restart_count,
            manually_stopped=record.manually_stopped,
        )

    async def let_go(self, record: Record) -> None:
        """Remove every trace of a run; idempotent. One failing part does not keep the others, nor
        whoever asks for it."""
        ended = await asyncio.gather(
            self._base.runtime.delete(record.id, force=True),
            self._links.unpublish(record),
            return_exceptions=True,
        )
        cleared = await asyncio.gather(
            self._links.unplug(record), self._ground.clear(record), return_exceptions=True
        )
        try:
            self._links.leave(record)
        except Exception:
            _log.exception("container %s: its addresses stay taken", record.short_id)
        for result in (*ended, *cleared):
            if isinstance(result, BaseException):
                _log.warning("container %s: cleaning up: %s", record.short_id, result)

    # Restart by policy

    def _restart_later(self, container: Container, ran_s: float) -> None:
        container.restarting = True
        container.restart_delay_s = next_delay_s(container.restart_delay_s, ran_s)
        container.restart = self._base.jobs.start(self._restart(container), "a container's restart")

    async def _restart(self, container: Container) -> None:
        await asyncio.sleep(container.restart_delay_s)
        await self._base.jobs.carry_through(self._restart_now(container), "a container's restart")

    async def _restart_now(self, container: Container) -> None:
        async with container.turn:
            if not container.restarting:
                return
            record = replace(container.record, restart_count=container.record.restart_count + 1)
            container.record = record
            try:
                await self.launch(container, record)
            except Exception as error:
                unforeseen = None if isinstance(error, SkepError) else error
                _log.warning(
                    "container %s: restart failed: %s", record.short_id, error, exc_info=unforeseen
                )
                failed = Exit(code=container.record.exit_code, finished_at=utc_now())
                container.restarting = False
                if self._wants_restart(container, failed):
                    self._restart_later(container, 0.0)
        settle(container.exits)

    def restart_soon(self, container: Container) -> None:
        """At the engine's start, for a container that its policy wants to run."""
        self._restart_later(container, 0.0)

    def cancel_restart(self, container: Container) -> None:
        """Wait for no restart any more; one that is being made goes on."""
        container.restarting = False
        if container.restart is not None:
            container.restart.cancel()
            container.restart = None

    def let_run(self, container: Container) -> None:
        """Stop watching; the container runs on."""
        self._health.stop(container)
        for task in (container.watch, container.restart):
            if task is not None:
                task.cancel()


async def all_of(one: Awaitable[T], two: Awaitable[U], three: Awaitable[V]) -> tuple[T, U, V]:
    """All results, or the first error after all have ended: nothing goes on behind our back."""
    results = await asyncio.gather(one, two, three, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast(tuple[T, U, V], results)


def _ran_s(container: Container, end: Exit) -> float:
    """How long the run took. The wall clock, which may be set meanwhile, only where we know no
    better."""
    if container.started_s is not None:
        return elapsed_s() - container.started_s
    return max((end.finished_at - container.record.started_at).total_seconds(), 0.0)
