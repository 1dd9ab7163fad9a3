"""The logs of services: lines of many tasks on many nodes, as one stream.

Without `follow` the lines come in the order of their times. With it they come as they arrive, and
tasks that the service gets later are heard too. A node that cannot be asked is told at the end, in
one error, after the lines that could be had.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from skep.kit.errors import SkepError
from skep.manager.dispatcher import Dispatcher
from skep.model.logs import LogOptions, LogSelector, ServiceLogLine
from skep.model.states import TaskState
from skep.model.task import Task
from skep.protocol.log_frames import frames_of
from skep.protocol.messages import ReadLogs
from skep.store.change import Event
from skep.store.store import Store

_READ_AHEAD = 256


class Unread(SkepError):
    """Some lines could not be had; the text says of which tasks, and why."""


class ServiceLogs:
    def __init__(self, store: Store, dispatcher: Dispatcher) -> None:
        self._store = store
        self._dispatcher = dispatcher

    async def read(
        self, selector: LogSelector, options: LogOptions
    ) -> AsyncGenerator[ServiceLogLine, None]:
        """Lines until all were read; with `follow` until no task can write any more, because what
        was selected is gone or ended. Raises `Unread` last, when some could not be read."""
        problems: list[str] = []
        lines = self._follow if options.follow else self._merge
        async with aclosing(lines(selector, options, problems)) as stream:
            async for line in stream:
                yield line
        if problems:
            raise Unread(
                "warning: incomplete log stream. some logs could not be retrieved for the "
                f"following reasons: {', '.join(sorted(set(problems)))}"
            )

    def _selected(self, selector: LogSelector) -> list[Task]:
        view = self._store.view
        tasks = [t for service in selector.service_ids for t in view.tasks_of_service(service)]
        tasks += [task for t in selector.task_ids if (task := view.task(t)) is not None]
        return [task for task in tasks if _has_log(task)]

    async def _merge(
        self, selector: LogSelector, options: LogOptions, problems: list[str]
    ) -> AsyncGenerator[ServiceLogLine, None]:
        sources = [self._lines(t, options, problems) for t in self._selected(selector)]
        try:
            heads = await asyncio.gather(*(anext(source, None) for source in sources))
            queue = [(head.time_ns, n, head) for n, head in enumerate(heads) if head is not None]
            heapq.heapify(queue)
            while queue:
                _, number, line = heapq.heappop(queue)
                yield line
                if (following := await anext(sources[number], None)) is not None:
                    heapq.heappush(queue, (following.time_ns, number, following))
        finally:
            for source in sources:
                await source.aclose()

    async def _follow(
        self, selector: LogSelector, options: LogOptions, problems: list[str]
    ) -> AsyncGenerator[ServiceLogLine, None]:
        queue: asyncio.Queue[ServiceLogLine | None] = asyncio.Queue(_READ_AHEAD)
        pumps: dict[str, asyncio.Task[None]] = {}

        def listen(task: Task) -> None:
            if task.id not in pumps:
                lines = self._lines(task, options, problems)
                pumps[task.id] = asyncio.create_task(_pump(lines, queue))

        async def end() -> None:
            await self._newcomers(selector, listen)
            await asyncio.gather(*pumps.values(), return_exceptions=True)
            await queue.put(None)

        ending = asyncio.create_task(end())
        try:
            for task in self._selected(selector):
                listen(task)
            while (line := await queue.get()) is not None:
                yield line
        finally:
            for job in (ending, *pumps.values()):
                job.cancel()
            await asyncio.gather(ending, *pumps.values(), return_exceptions=True)

    async def _newcomers(self, selector: LogSelector, listen: Callable[[Task], None]) -> None:
        """Listen to tasks that come, until none can come any more."""
        watch = self._store.watch()
        try:
            if not self._more_may_come(selector):
                return
            async for commit in watch:
                for event in commit.events:
                    task = _newcomer(event, selector)
                    if task is not None:
                        listen(task)
                if not self._more_may_come(selector):
                    return
        finally:
            watch.close()

    def _more_may_come(self, selector: LogSelector) -> bool:
        view = self._store.view
        tasks = (view.task(task_id) for task_id in selector.task_ids)
        return any(view.service(service_id) for service_id in selector.service_ids) or any(
            task is not None and not task.status.state.dead for task in tasks
        )

    async def _lines(
        self, task: Task, options: LogOptions, problems: list[str]
    ) -> AsyncGenerator[ServiceLogLine, None]:
        request = ReadLogs(
            task_id=task.id,
            follow=options.follow,
            stdout=options.stdout,
            stderr=options.stderr,
            since_ns=options.since_ns,
            until_ns=options.until_ns,
            tail=options.tail,
        )
        try:
            async with (
                self._dispatcher.call(task.node_id, request) as stream,
                aclosing(frames_of(stream)) as frames,
            ):
                async for frame in frames:
                    yield ServiceLogLine(
                        time_ns=frame.time_ns,
                        stream=frame.stream,
                        text=frame.line,
                        node_id=task.node_id,
                        service_id=task.service_id,
                        task_id=task.id,
                    )
        except SkepError as error:
            problems.append(str(error))


async def _pump(
    lines: AsyncIterator[ServiceLogLine], queue: asyncio.Queue[ServiceLogLine | None]
) -> None:
    async for line in lines:
        await queue.put(line)


def _has_log(task: Task) -> bool:
    """Its container was made, and was not yet reaped with the task."""
    return bool(task.node_id) and task.status.container_status is not None


def _newcomer(event: Event, selector: LogSelector) -> Task | None:
    task = event.new
    if not isinstance(task, Task) or not _has_log(task):
        return None
    wanted = task.service_id in selector.service_ids or task.id in selector.task_ids
    return task if wanted and task.status.state <= TaskState.RUNNING else None
