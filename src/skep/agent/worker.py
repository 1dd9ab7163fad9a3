"""Makes the node true to its assignments: a controller for each task, remembered on disk.

An assignment is on disk before its controller starts, so whatever exists on the node is known
after a crash. With no manager in sight everything runs on as last assigned.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from skep.agent.controller import Controller
from skep.agent.disk import Disk
from skep.agent.executor import Executor
from skep.agent.kinds import KINDS, TASK, body_of
from skep.agent.reporter import Reporter
from skep.agent.serving import Serving, can_be_reached
from skep.agent.supplies import Supplies
from skep.kit.errors import UNDECODABLE, NotFound, SkepError
from skep.model.node import Node, NodeSpec
from skep.model.task import Task, TaskStatus
from skep.protocol.link import LinkClosed
from skep.protocol.messages import Assigned, Assignments, LogFrame, ReadLogs, Reference, TaskReport

log = logging.getLogger(__name__)

_RETRY_S = 1.0


class Worker:
    """`load` first, then `run` until cancelled; `assign` with each message of the manager."""

    def __init__(self, node_id: str, executor: Executor, disk: Disk, reporter: Reporter) -> None:
        self.node = Node(id=node_id, spec=NodeSpec())
        self._executor = executor
        self._disk = disk
        self._reporter = reporter
        self._controllers: dict[str, Controller] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._supplies = Supplies()
        self._serving = Serving(executor, self._controllers)
        self._mentioned: set[Reference] | None = None
        self._strays = asyncio.Event()

    async def load(self) -> None:
        """Take up again what was assigned before our own restart."""
        remembered = await self._disk.load()
        self.node = remembered.node or self.node
        self._supplies.change(remembered.things)
        await self._tell_executor(set(KINDS))
        for task, needs, status in remembered.tasks:
            self._begin(task, needs, status)

    async def run(self) -> None:
        """Keep published ports and names true to the tasks that serve, and strays away."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._serving.run())
            group.create_task(self._keep_strays_away())

    async def close(self) -> None:
        """Stop controlling; the containers run on."""
        for running in self._running.values():
            running.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def set_node(self, node: Node) -> None:
        if node != self.node:
            self.node = node
            await self._disk.set_node(node)

    def reports(self) -> list[TaskReport]:
        """What is known of every task: the first word in a new session."""
        return [TaskReport(task_id, c.status) for task_id, c in self._controllers.items()]

    async def assign(self, message: Assignments) -> None:
        """Make the assignments known here what the manager says. With the last part of a complete
        set, what no part of it mentioned ends. Raises LinkClosed for what cannot be read."""
        tasks: list[tuple[Task, Sequence[Reference]]] = []
        things: dict[Reference, object] = {}
        for assigned, body in _read(message):
            if assigned.kind == TASK:
                tasks.append((body, assigned.needs))
            else:
                things[Reference(assigned.kind, assigned.id)] = body
        removed = set(message.removed) | self._unmentioned(message)
        gone = {reference for reference in removed if reference.kind != TASK}
        await self._disk.assign(message.assigned, gone)
        self._supplies.change(things, gone)
        await self._tell_executor({reference.kind for reference in (*things, *gone)})
        for task, needs in tasks:
            if controller := self._controllers.get(task.id):
                controller.update(task, needs)
            else:
                self._begin(task, needs, task.status)
        self._supplies.told()
        for reference in removed - gone:
            self._forget(reference.id)

    def logs(self, request: ReadLogs) -> AsyncIterator[LogFrame]:
        """Raises NotFound when the task is not on this node."""
        controller = self._controllers.get(request.task_id)
        if controller is None:
            raise NotFound(f"task {request.task_id} is not on node {self.node.id}")
        return self._executor.logs(controller.task, request)

    def _unmentioned(self, message: Assignments) -> set[Reference]:
        """With the last part of a complete set, all that is known and in no part of it."""
        if message.applies_to == 0:
            self._mentioned = set()
        if self._mentioned is None:
            return set()
        self._mentioned.update(Reference(each.kind, each.id) for each in message.assigned)
        if message.more:
            return set()
        mentioned, self._mentioned = self._mentioned, None
        self._strays.set()
        tasks = {Reference(TASK, task_id) for task_id in self._controllers}
        return (tasks | self._supplies.references()) - mentioned

    async def _tell_executor(self, kinds: set[str]) -> None:
        for name in kinds & KINDS.keys():
            await KINDS[name].tell(self._executor, self._supplies.of_kind(name))

    def _begin(self, task: Task, needs: Sequence[Reference], status: TaskStatus) -> None:
        controller = Controller(
            task,
            needs,
            status,
            self._executor,
            node=lambda: self.node,
            supplies=self._supplies,
            observed=self._observed,
            unserved=self._serving.left,
        )
        self._controllers[task.id] = controller
        self._running[task.id] = asyncio.create_task(controller.run(), name=f"task {task.id}")

    def _observed(self, controller: Controller) -> None:
        self._reporter.take(controller.task.id, controller.status)
        if can_be_reached(controller.task):
            self._serving.changed()

    def _forget(self, task_id: str) -> None:
        """The manager forgot the task: end its controller, remove what it made, then its record."""
        running = self._running.get(task_id)
        controller = self._controllers.pop(task_id, None)
        if running is None or controller is None:
            return
        self._serving.changed()
        running.cancel()
        removal = asyncio.create_task(self._remove(controller, running), name=f"remove {task_id}")
        self._running[task_id] = removal

    async def _remove(self, controller: Controller, running: asyncio.Task[None]) -> None:
        await asyncio.gather(running, return_exceptions=True)
        task = controller.task
        while True:
            try:
                if not controller.status.state.dead:
                    await self._serving.left(task)
                    await self._executor.stop(task)
                await self._executor.remove(task)
                await self._disk.assign((), [Reference(TASK, task.id)])
                break
            except SkepError as error:
                log.error("task %s cannot be removed, trying again: %s", task.id, error)
            except Exception:
                log.exception("task %s cannot be removed, trying again", task.id)
            await asyncio.sleep(_RETRY_S)
        self._running.pop(task.id, None)

    async def _keep_strays_away(self) -> None:
        while True:
            await self._strays.wait()
            try:
                await self._remove_strays()
                self._strays.clear()
            except SkepError as error:
                log.error("an unknown task's container stays, trying again: %s", error)
                await asyncio.sleep(_RETRY_S)

    async def _remove_strays(self) -> None:
        """What exists on the node for tasks that neither we nor the manager know."""
        found = await self._executor.task_ids()
        for task_id in sorted(found - self._controllers.keys() - self._running.keys()):
            log.warning("removing what is left of the unknown task %s", task_id)
            await self._executor.remove_stray(task_id)


def _read(message: Assignments) -> list[tuple[Assigned, Any]]:
    try:
        return [(assigned, body_of(assigned)) for assigned in message.assigned]
    except UNDECODABLE as error:
        raise LinkClosed(f"the manager assigned what cannot be read: {error}") from None
