"""What people do with containers: start, stop, kill, pause, remove them.

Each container has a turn: who changes what it is holds it. What a run is made of is in runs.py.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from skep.engine.containers.base import Base
from skep.engine.containers.container import Container, settle, wait_among
from skep.engine.containers.health import HealthWatch
from skep.engine.containers.links import ContainerLinks
from skep.engine.containers.preparation import GroundWork
from skep.engine.containers.runs import Runs
from skep.engine.volumes import Volumes
from skep.kit.errors import Conflict, Internal, NotFound, NotModified
from skep.kit.files import remove_trees
from skep.model.rules.signals import DEFAULT_STOP, parse_signal

_log = logging.getLogger(__name__)
_KILL_TIMEOUT_S = 30.0
SIGKILL = 9


class Lifecycle:
    """`runs` are what it starts and ends."""

    def __init__(
        self,
        base: Base,
        ground: GroundWork,
        links: ContainerLinks,
        health: HealthWatch,
        volumes: Volumes,
    ) -> None:
        self._base = base
        self._volumes = volumes
        self.runs = Runs(base, ground, links, health, self._auto_remove)
        self._trash_turn = asyncio.Lock()

    # Start

    async def start(self, container: Container) -> None:
        """Run it. Not interrupted when the caller goes away."""
        await self._base.jobs.carry_through(self._start(container), "a container's start")

    async def _start(self, container: Container) -> None:
        async with container.turn:
            if container.paused:
                raise Conflict("cannot start a paused container, try unpause instead")
            if container.running:
                raise NotModified(f"container {container.name} is already running")
            if container.unreadable:
                raise Conflict(f"container {container.name} cannot start: {container.unreadable}")
            if container.removing or container.dead:
                raise Conflict("container is marked for removal and cannot be started")
            self.runs.cancel_restart(container)
            container.restart_delay_s = 0.0
            record = replace(container.record, manually_stopped=False, restart_count=0)
            await self.runs.launch(container, record)

    # Stop

    async def stop(self, container: Container, signal: str, timeout_s: int | None) -> None:
        """Signal it, and kill it when that does not help. NotModified when it does not run."""
        number = parse_signal(signal or container.record.config.stop_signal or DEFAULT_STOP)
        if not await self._mark_stopped(container):
            raise NotModified(f"container {container.name} is already stopped")
        await self._end(container, number, self._patience_s(container, timeout_s))
        self._base.tell(container, "stop")

    async def power_off(self, grace_s: float) -> None:
        """The machine goes down: end every container, politely for at most `grace_s`.

        Nobody stopped them: whose policy asks for it starts again with the machine.
        """
        self.runs.going_down = True
        ends = [self._power_off(container, grace_s) for container in self._base.registry]
        for result in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(result, BaseException):
                _log.warning("a container does not end with the machine: %s", result)

    async def _power_off(self, container: Container, grace_s: float) -> None:
        async with container.turn:
            if container.restarting:
                self.runs.cancel_restart(container)
        number = parse_signal(container.record.config.stop_signal or DEFAULT_STOP)
        patience_s = self._patience_s(container, None)
        if patience_s is not None:
            grace_s = min(patience_s, grace_s)
        await self._end(container, number, grace_s)

    async def _mark_stopped(self, container: Container) -> bool:
        """Write down that a person stopped it; False when there is nothing to end any more."""
        async with container.turn:
            if container.restarting:
                self.runs.cancel_restart(container)
                await self._note(container, manually_stopped=True)
                settle(container.exits)
                return True
            if container.running:
                await self._note(container, manually_stopped=True)
            return container.running

    async def _note(self, container: Container, **changes: Any) -> None:
        """Change the record; the turn is held."""
        container.record = replace(container.record, **changes)
        await self._base.notes.keep(container)

    def _patience_s(self, container: Container, timeout_s: int | None) -> float | None:
        """None is for ever."""
        said = container.record.config.stop_timeout if timeout_s is None else timeout_s
        if said is None:
            return float(self._base.settings.default_stop_timeout_s)
        return None if said < 0 else float(said)

    async def _end(self, container: Container, number: int, patience_s: float | None) -> None:
        if not container.running:
            return
        self._base.tell(container, "kill", signal=str(number))
        await self._signal(container, number)
        if number == SIGKILL:
            patience_s = _KILL_TIMEOUT_S
        if await self._gone_within(container, patience_s):
            return
        self._base.tell(container, "kill", signal=str(SIGKILL))
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
            async with asyncio.timeout(seconds):
                await wait_among(container.exits)
        except TimeoutError:
            return False
        return True

    async def _signal(self, container: Container, number: int) -> None:
        """A frozen process would not see it; one that just ended needs none."""
        try:
            await self._base.runtime.signal(container.id, number)
            if container.paused:
                await self._base.runtime.resume(container.id)
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
        self._base.tell(container, "kill", signal=str(number))

    async def restart(self, container: Container, signal: str, timeout_s: int | None) -> None:
        try:
            await self.stop(container, signal, timeout_s)
        except NotModified:
            pass
        await self.start(container)
        self._base.tell(container, "restart")

    async def pause(self, container: Container) -> None:
        async with container.turn:
            container.require_running()
            if container.paused:
                raise Conflict(f"Container {container.name} is already paused")
            await self._base.runtime.pause(container.id)
            container.paused = True
        self._base.tell(container, "pause")

    async def unpause(self, container: Container) -> None:
        async with container.turn:
            if not container.paused:
                raise Conflict(f"Container {container.name} is not paused")
            await self._base.runtime.resume(container.id)
            container.paused = False
        self._base.tell(container, "unpause")

    # Remove

    async def remove(self, container: Container, *, force: bool, volumes: bool) -> None:
        if container.removing:
            raise Conflict(f"removal of container {container.name} is already in progress")
        if container.running and not force:
            words = "running: stop the container before removing or force remove"
            if container.paused:
                words = "paused and must be unpaused first"
            raise Conflict(f'cannot remove container "{container.name}": container is {words}')
        await self._base.jobs.carry_through(
            self._remove(container, volumes=volumes), "a container's removal"
        )

    async def _auto_remove(self, container: Container) -> None:
        """After the end of a container that asked for it."""
        await self._remove(container, volumes=True)

    async def _remove(self, container: Container, *, volumes: bool) -> None:
        if container.removing:
            return
        container.removing = True
        self.runs.cancel_restart(container)
        try:
            while not await self._forget_ended(container):
                await self._end(container, SIGKILL, _KILL_TIMEOUT_S)
        except BaseException:
            container.removing = False
            raise
        if volumes:
            await self._volumes.remove_anonymous(
                [mount.source for mount in container.record.mounts if mount.anonymous]
            )
        settle(container.exits)
        settle(container.removals)
        self._base.tell(container, "destroy")

    async def _forget_ended(self, container: Container) -> bool:
        """False when it runs: a start may have been under way when the removal began."""
        async with container.turn:
            if not container.running:
                await self._forget(container)
            return not container.running

    async def _forget(self, container: Container) -> None:
        """From one moment to the next there is no such container; its files go later."""
        if container.dead:
            await self.runs.let_go(container.record)
        rest = await asyncio.to_thread(
            self._base.folder.discard, container.id, self._base.places.trash
        )
        self._base.registry.discard(container)
        for line in container.lines:
            line.give_up()
        if rest is not None:
            self._base.jobs.start(self._throw_away(rest), "a container's trash")

    async def _throw_away(self, rest: Path) -> None:
        """Delete files, one container's at a time; what a crash leaves goes at the next start."""
        async with self._trash_turn:
            try:
                await asyncio.to_thread(remove_trees, [rest])
            except OSError as error:
                _log.warning("cannot delete %s: %s", rest, error)
