"""Makes the node true to its assignments: a controller for each task, remembered on disk.

An assignment is on disk before its controller starts, so whatever exists on the node is known
after a crash. With no manager in sight everything runs on as last assigned.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from skep.agent.controller import Controller
from skep.agent.disk import Disk
from skep.agent.executor import Executor
from skep.agent.reporter import Reporter
from skep.agent.serving import Serving, can_be_reached
from skep.kit.errors import NotFound, SkepError
from skep.model.network import Network
from skep.model.node import Node, NodeSpec
from skep.model.task import Task, TaskStatus
from skep.protocol.messages import Assignments, LogFrame, ReadLogs, TaskReport

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
        self._networks: dict[str, Network] = {}
        self._auths: dict[str, str] = {}
        self._serving = Serving(executor, self._controllers)
        self._mentioned: Mentioned | None = None
        self._strays = asyncio.Event()

    async def load(self) -> None:
        """Take up again what was assigned before our own restart."""
        remembered = await self._disk.load()
        self.node = remembered.node or self.node
        self._networks = {network.id: network for network in remembered.networks}
        await self._executor.set_networks(remembered.networks)
        for task, status in remembered.tasks:
            self._begin(task, status)

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
        set, what no part of it mentioned ends."""
        removed = set(message.removed_tasks)
        removed_networks = set(message.removed_networks)
        if message.applies_to == 0:
            self._mentioned = Mentioned()
        if (mentioned := self._mentioned) is not None:
            mentioned.take(message)
            if not message.more:
                self._mentioned = None
                removed |= self._controllers.keys() - mentioned.tasks
                removed_networks |= self._networks.keys() - mentioned.networks
                self._strays.set()
        known = [(task, self._status_of(task)) for task in message.tasks]
        await self._disk.assign(known, (), message.networks, removed_networks)
        await self._set_networks(message.networks, removed_networks)
        self._auths |= message.registry_auths
        for task, status in known:
            if controller := self._controllers.get(task.id):
                controller.update(task)
            else:
                self._begin(task, status)
        for task_id in removed:
            self._forget(task_id)
        if removed:
            self._forget_credentials()

    def logs(self, request: ReadLogs) -> AsyncIterator[LogFrame]:
        """Raises NotFound when the task is not on this node."""
        controller = self._controllers.get(request.task_id)
        if controller is None:
            raise NotFound(f"task {request.task_id} is not on node {self.node.id}")
        return self._executor.logs(controller.task, request)

    def _status_of(self, task: Task) -> TaskStatus:
        controller = self._controllers.get(task.id)
        return controller.status if controller else task.status

    async def _set_networks(self, networks: list[Network], removed: set[str]) -> None:
        if networks or removed:
            self._networks |= {network.id: network for network in networks}
            for network_id in removed:
                self._networks.pop(network_id, None)
            await self._executor.set_networks(list(self._networks.values()))

    def _begin(self, task: Task, status: TaskStatus) -> None:
        controller = Controller(
            task,
            status,
            self._executor,
            node=lambda: self.node,
            registry_auth=lambda: self._auths.get(task.service_id, ""),
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

    def _forget_credentials(self) -> None:
        """Of services that run here no longer: with their next task they are told again."""
        served = {controller.task.service_id for controller in self._controllers.values()}
        self._auths = {key: auth for key, auth in self._auths.items() if key in served}

    async def _remove(self, controller: Controller, running: asyncio.Task[None]) -> None:
        await asyncio.gather(running, return_exceptions=True)
        task = controller.task
        while True:
            try:
                if not controller.status.state.dead:
                    await self._serving.left(task)
                    await self._executor.stop(task)
                await self._executor.remove(task)
                await self._disk.assign((), [task.id], (), ())
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


class Mentioned:
    """What the parts of a complete set have named so far."""

    def __init__(self) -> None:
        self.tasks: set[str] = set()
        self.networks: set[str] = set()

    def take(self, message: Assignments) -> None:
        self.tasks.update(task.id for task in message.tasks)
        self.networks.update(network.id for network in message.networks)
