"""Keeps published ports and names true to the tasks that serve."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress

from skep.agent.controller import Controller
from skep.agent.executor import Executor
from skep.kit.batch import Batch
from skep.kit.errors import SkepError
from skep.model.service import Transport
from skep.model.states import TaskState
from skep.model.task import Task
from skep.network.values import Backend, PublishedPort

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_PATIENCE_S = 5.0


class Serving:
    """`run` until cancelled; say `changed` whenever a task begins or ends to serve."""

    def __init__(self, executor: Executor, controllers: Mapping[str, Controller]) -> None:
        self._executor = executor
        self._controllers = controllers
        self._changed = asyncio.Event()
        self._found = asyncio.Event()
        self._writing = Batch(self._write)

    def changed(self) -> None:
        self._changed.set()
        self._look()

    def _look(self) -> None:
        if not self._found.is_set() and not any(map(_is_sought, self._controllers.values())):
            self._found.set()

    async def left(self, task: Task) -> None:
        """Ends when nobody is sent to the task any more, so that it may be stopped; or when that
        takes too long or fails: a task must not run on because a rule cannot be written."""
        if not can_be_reached(task):
            return
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._writing.join()
        except (TimeoutError, SkepError):
            log.warning("task %s is stopped while its port or name may lead to it", task.id)

    async def run(self) -> None:
        self.changed()
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._writing.join()
            except SkepError as error:
                log.error("ports and names cannot be set, trying again: %s", error)
                await asyncio.sleep(_RETRY_S)
                self._changed.set()

    async def _write(self) -> None:
        """After our own restart, what was written before stands until it is known who serves."""
        self._look()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._found.wait()
        self._found.set()
        await self._executor.set_names(names_of(self._controllers.values()))
        await self._executor.publish(ports_of(self._controllers.values()))


def _is_sought(controller: Controller) -> bool:
    """It ran before our own restart and is to run on, but is not found yet, nor found dead."""
    task = controller.task
    runs_on = controller.status.state is TaskState.RUNNING >= task.desired_state
    return runs_on and controller.started is None and can_be_reached(task)


def can_be_reached(task: Task) -> bool:
    """By a published port, or by a name on a network."""
    return bool(task.ports or task.networks_attachments)


def ports_of(controllers: Iterable[Controller]) -> tuple[PublishedPort, ...]:
    """The node's ingress ports, each with the tasks that answer on it, in a settled order.

    A port whose tasks all stopped is still there, with nobody behind it: callers are refused at
    once instead of left waiting.
    """
    found: dict[tuple[Transport, int], list[Backend]] = {}
    for controller in controllers:
        for port in controller.task.ports:
            if port.publish_mode != "ingress" or not _counts(controller):
                continue
            group = found.setdefault((port.protocol, port.published_port), [])
            if controller.serving and controller.started and controller.started.ingress_address:
                address = controller.started.ingress_address
                group.append(Backend(address=address, port=port.target_port))
    return tuple(
        PublishedPort(host_port=number, protocol=protocol, backends=tuple(sorted(group)))
        for (protocol, number), group in sorted(found.items())
    )


def _counts(controller: Controller) -> bool:
    return controller.task.desired_state <= TaskState.RUNNING or controller.serving


def names_of(controllers: Iterable[Controller]) -> dict[str, dict[str, tuple[str, ...]]]:
    """What resolves on each network: the service's name, `tasks.<service>` and the aliases, each to
    the addresses of the node's tasks that serve. (Tasks of other nodes are not reached yet.)"""
    found: dict[str, dict[str, list[str]]] = {}
    for controller in controllers:
        task = controller.task
        if not controller.serving:
            continue
        service = task.service_annotations.name
        for attachment in task.networks_attachments:
            zone = found.setdefault(attachment.network.id, {})
            for name in {service, f"tasks.{service}", *attachment.aliases}:
                plain = (address.partition("/")[0] for address in attachment.addresses)
                zone.setdefault(name, []).extend(plain)
    return {
        network: {name: tuple(sorted(addresses)) for name, addresses in zone.items()}
        for network, zone in found.items()
    }
