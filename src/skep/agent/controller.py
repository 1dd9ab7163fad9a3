"""Takes one task through its life: asks what to do next, does it, says what it saw."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from skep.agent.executor import Executor, Started, TaskExit
from skep.agent.kinds import REGISTRY_AUTH
from skep.agent.step import REACHES, Step, next_step
from skep.agent.supplies import Supplies
from skep.kit.clock import utc_now
from skep.kit.errors import SkepError
from skep.model.node import Node
from skep.model.states import TaskState
from skep.model.task import LONGEST_ERROR, ContainerStatus, PortStatus, Task, TaskStatus
from skep.protocol.messages import Reference

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_STOP_RETRY_S = 1.0


class Unwanted(Exception):
    """The task is no longer wanted: whatever was being waited for does not matter now."""


class Controller:
    """One task on this node. `run` to the end of its life; `update` with each new wish."""

    def __init__(
        self,
        task: Task,
        needs: Sequence[Reference],
        status: TaskStatus,
        executor: Executor,
        node: Callable[[], Node],
        supplies: Supplies,
        observed: Callable[[Controller], None],
        unserved: Callable[[Task], Awaitable[None]],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.task = task
        self.needs = needs
        self.status = status
        self.started: Started | None = None
        self.serving = False
        self._executor = executor
        self._node = node
        self._supplies = supplies
        self._observed = observed
        self._unserved = unserved
        self._clock = clock
        self._changed = asyncio.Event()

    def update(self, task: Task, needs: Sequence[Reference]) -> None:
        self.task = task
        self.needs = needs
        self._changed.set()

    async def run(self) -> None:
        while True:
            step = next_step(self.task.desired_state, self.status.state)
            try:
                await self._do(step)
            except Unwanted:
                continue
            except SkepError as error:
                await self._refused(step, str(error))
            except Exception as error:
                log.exception("task %s: could not %s", self.task.id, step.value)
                await self._refused(step, f"internal error: {error}")

    async def _refused(self, step: Step, reason: str) -> None:
        """What cannot be done fails the task; only a stop is tried until it succeeds, because a
        task that is called dead must not run on."""
        if step is Step.STOP:
            log.error("task %s cannot be stopped, trying again: %s", self.task.id, reason)
            await asyncio.sleep(_STOP_RETRY_S)
        else:
            self._fail(reason)

    async def _do(self, step: Step) -> None:
        match step:
            case Step.ACCEPT:
                self._report(REACHES[step], "accepted")
            case Step.PREPARE:
                self._report(REACHES[step], "preparing")
            case Step.CREATE:
                await self._while_wanted(self._create())
                self._report(REACHES[step], "prepared")
            case Step.BEGIN:
                self._report(REACHES[step], "starting")
            case Step.START:
                await self._start()
            case Step.WATCH:
                await self._watch()
            case Step.STOP:
                await self._stop()
            case Step.DISMISS:
                self._report(REACHES[step], "shutdown")
            case Step.HOLD | Step.REST:
                await self._next_wish()

    async def _create(self) -> None:
        await self._supplies.until_there(lambda: self.needs)
        auth = self._supplies.get(REGISTRY_AUTH, self.task.service_id) or ""
        await self._executor.create(self.task, self._node(), auth)

    async def _start(self) -> None:
        self.started = await self._executor.start(self.task)
        ports = PortStatus(ports=self.started.host_ports) if self.started.host_ports else None
        self.status = msgspec.structs.replace(
            self.status, container_status=self.started.container, port_status=ports
        )
        await self._while_wanted(self._executor.healthy(self.task))
        self._serve(True)
        self._report(REACHES[Step.START], "started")

    async def _watch(self) -> None:
        if self.started is None:  # after our own restart
            self.started = await self._executor.start(self.task)
            self._serve(True)
        exit_ = await self._while_wanted(self._executor.exited(self.task))
        self._serve(False)
        if exit_.code == 0 and not exit_.reason:
            self._report(REACHES[Step.WATCH], "finished", exit_=exit_)
        else:
            reason = exit_.reason or f"task: non-zero exit ({exit_.code})"
            self._report(TaskState.FAILED, "started", reason, exit_)

    async def _stop(self) -> None:
        self._serve(False)
        await self._unserved(self.task)
        exit_ = await self._executor.stop(self.task)
        self._report(REACHES[Step.STOP], "shutdown", exit_=exit_)

    def _fail(self, reason: str) -> None:
        """Before the start a task is rejected, from then on it failed (swarmkit agent/exec)."""
        self._serve(False)
        early = self.status.state < TaskState.STARTING
        state = TaskState.REJECTED if early else TaskState.FAILED
        self._report(state, self.status.message, reason)

    def _serve(self, serving: bool) -> None:
        if self.serving != serving:
            self.serving = serving
            self._observed(self)

    def _report(
        self, state: TaskState, message: str, err: str = "", exit_: TaskExit | None = None
    ) -> None:
        container = self.status.container_status
        if exit_ is not None:
            container = msgspec.structs.replace(
                container or ContainerStatus(), pid=0, exit_code=exit_.code
            )
        self.status = msgspec.structs.replace(
            self.status,
            timestamp=self._clock(),
            state=state,
            message=message,
            err=err[:LONGEST_ERROR],
            container_status=container,
        )
        self._observed(self)

    async def _next_wish(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    async def _while_wanted(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do the work, but stop it when the task is to shut down: then raises Unwanted."""
        doing = asyncio.ensure_future(work)
        wishing = asyncio.ensure_future(self._until_unwanted())
        try:
            await asyncio.wait({doing, wishing}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise Unwanted
            return doing.result()
        finally:
            doing.cancel()
            wishing.cancel()
            await asyncio.gather(doing, wishing, return_exceptions=True)

    async def _until_unwanted(self) -> None:
        while self.task.desired_state < TaskState.SHUTDOWN:
            await self._next_wish()
