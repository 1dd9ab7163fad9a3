"""What every `Executor` does, asked of containers on a real engine and of the fake alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from skep.agent.containers import ContainerExecutor
from skep.agent.executor import Executor, TaskExit
from skep.kit.addresses import is_address
from skep.kit.errors import NotFound, SkepError
from skep.model.node import NodeDescription
from skep.model.service import ContainerSpec, PortConfig
from skep.model.task import Task, task_name
from skep.network.values import Backend, PublishedPort
from skep.protocol.messages import LogFrame, ReadLogs
from skep.testing import builders as b
from skep.testing.engine_host import BUSYBOX, EngineHost, engine_host
from skep.testing.executor import FakeExecutor

NODE = b.node("n1")
NO_IMAGE = "127.0.0.1:1/nosuch:1"
CODE = 3
KILLED = 137
SCRIPT = f"trap 'exit {CODE}' USR1; echo one; echo two; while :; do sleep 0.02; done"


class Place:
    """Where tasks run, and what a test does to them there."""

    executor: Executor

    async def said(self, task: Task) -> None:
        """Return when a task that was started has written "one" and "two"."""
        raise NotImplementedError

    async def end(self, task: Task) -> None:
        """The task's process ends by itself, with CODE."""
        raise NotImplementedError

    async def crash(self) -> None:
        """The agent is no more, and comes again."""
        raise NotImplementedError


class RealPlace(Place):
    def __init__(self, host: EngineHost) -> None:
        self._host = host
        self.executor = ContainerExecutor(host.engine, NodeDescription)

    async def said(self, task: Task) -> None:
        await self._host.until_log(task_name(task), "one\ntwo\n")

    async def end(self, task: Task) -> None:
        await self.said(task)  # until then its shell does not know the signal
        await self._host.engine.containers.kill(task_name(task), "USR1")

    async def crash(self) -> None:
        self.executor = ContainerExecutor(await self._host.restart(), NodeDescription)


class FakePlace(Place):
    def __init__(self) -> None:
        self.executor = self._fake = FakeExecutor()
        self._fake.refuse[NO_IMAGE] = "no such image"

    async def said(self, task: Task) -> None:
        self._fake.lines[task.id] = [LogFrame(1, 1, b"one"), LogFrame(2, 1, b"two")]

    async def end(self, task: Task) -> None:
        self._fake.end(task.id, CODE)

    async def crash(self) -> None:
        """What it keeps stands for what is on the node."""


@pytest.fixture(params=["containers", "fake"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "fake":
        yield FakePlace()
        return
    async with engine_host(tmp_path) as host:
        yield RealPlace(host)


def a_task(task_id: str = "t1", image: str = BUSYBOX, ports: tuple[PortConfig, ...] = ()) -> Task:
    task = b.task(task_id, b.service(name="web"), slot=1)
    container = ContainerSpec(image=image, command=["sh", "-c", SCRIPT], stop_grace_period=0)
    return replace(task, spec=replace(task.spec, container_spec=container), ports=list(ports))


async def begun(place: Place, task: Task) -> None:
    await place.executor.create(task, NODE, "")
    await place.executor.start(task)
    await place.executor.healthy(task)


async def test_a_task_is_made_started_and_stopped(place: Place) -> None:
    task, executor = a_task(), place.executor
    await executor.create(task, NODE, "")
    assert await executor.task_ids() == {"t1"}
    started = await executor.start(task)
    assert started.container.container_id
    assert started.container.pid > 0
    assert is_address(started.ingress_address)
    await executor.healthy(task)
    assert await executor.stop(task) == TaskExit(KILLED)
    assert await executor.exited(task) == TaskExit(KILLED)
    assert await executor.task_ids() == {"t1"}
    await executor.remove(task)
    assert await executor.task_ids() == set()


async def test_each_step_may_be_taken_again(place: Place) -> None:
    task, executor = a_task(), place.executor
    await executor.create(task, NODE, "")
    await executor.create(task, NODE, "")
    assert await executor.start(task) == await executor.start(task)
    await executor.healthy(task)
    await executor.healthy(task)
    assert await executor.stop(task) == await executor.stop(task)
    await executor.remove(task)
    await executor.remove(task)


async def test_after_a_crash_it_is_the_same_task_that_runs(place: Place) -> None:
    task = a_task()
    await place.executor.create(task, NODE, "")
    await place.crash()
    await place.executor.create(task, NODE, "")
    before = await place.executor.start(task)
    await place.crash()
    assert await place.executor.task_ids() == {"t1"}
    assert await place.executor.start(task) == before
    await place.end(task)
    assert await place.executor.exited(task) == TaskExit(CODE)
    await place.crash()
    assert await place.executor.exited(task) == TaskExit(CODE)


async def test_whoever_waits_for_its_end_hears_of_it(place: Place) -> None:
    task = a_task()
    await begun(place, task)
    given_up = asyncio.create_task(place.executor.exited(task))
    waiting = asyncio.create_task(place.executor.exited(task))
    await asyncio.sleep(0)  # from here on they wait
    await place.said(task)
    given_up.cancel()
    assert not waiting.done()
    await place.end(task)
    async with asyncio.timeout(10):
        assert await waiting == TaskExit(CODE)


async def test_a_task_that_has_ended_is_not_started_again(place: Place) -> None:
    task = a_task()
    await begun(place, task)
    await place.end(task)
    await place.executor.exited(task)
    started = await place.executor.start(task)
    assert (started.container.pid, started.container.exit_code) == (0, CODE)
    assert started.ingress_address == ""
    assert await place.executor.stop(task) == TaskExit(CODE)


async def test_what_was_never_made_is_nothing_to_stop_or_remove(place: Place) -> None:
    task, executor = a_task(), place.executor
    assert await executor.stop(task) is None
    await executor.remove(task)
    for asked in (executor.start, executor.healthy, executor.exited):
        with pytest.raises(NotFound):
            await asked(task)
    with pytest.raises(NotFound):
        await anext(executor.logs(task, ReadLogs("t1")))


async def test_what_was_never_started_ended_well(place: Place) -> None:
    task = a_task()
    await place.executor.create(task, NODE, "")
    assert await place.executor.stop(task) == TaskExit(0)


async def test_a_task_that_runs_is_ended_by_its_removal(place: Place) -> None:
    task, other = a_task("t1"), a_task("t2")
    await begun(place, task)
    await begun(place, other)
    waiting = asyncio.create_task(place.executor.exited(task))
    await asyncio.sleep(0)  # from here on it waits
    await place.said(task)
    await place.executor.remove(task)
    async with asyncio.timeout(10):
        assert (await waiting).code == KILLED
    assert await place.executor.task_ids() == {"t2"}


async def test_strays_are_removed_by_their_id_alone(place: Place) -> None:
    await begun(place, a_task("t1"))
    await place.executor.create(a_task("t2"), NODE, "")
    for stray in ("t1", "t2", "unknown"):
        await place.executor.remove_stray(stray)
    assert await place.executor.task_ids() == set()


async def test_of_an_image_that_nobody_has_nothing_is_made(place: Place) -> None:
    with pytest.raises(SkepError):
        await place.executor.create(a_task(image=NO_IMAGE), NODE, "")
    assert await place.executor.task_ids() == set()


async def test_host_ports_are_told_with_their_numbers(place: Place) -> None:
    chosen = PortConfig(target_port=80, published_port=8080, publish_mode="host")
    free = PortConfig(protocol="udp", target_port=53, publish_mode="host")
    ingress = PortConfig(target_port=81, published_port=8081)
    task = a_task(ports=(chosen, free, ingress))
    await place.executor.create(task, NODE, "")
    first, second = (await place.executor.start(task)).host_ports
    assert first == chosen
    assert second == replace(free, published_port=second.published_port)
    assert second.published_port >= 1024


async def test_published_ports_are_replaced_as_a_whole(place: Place) -> None:
    backends = (Backend(address="172.17.0.2", port=80),)
    one, two = (PublishedPort(host_port=port, backends=backends) for port in (9000, 9001))
    for ports in ((one, two), (one, two), (two,), ()):
        await place.executor.publish(ports)
    await place.executor.set_networks([])
    await place.executor.set_names({})


async def test_its_log_is_read_from_the_first_line_or_the_last(place: Place) -> None:
    task = a_task()
    await begun(place, task)
    await place.said(task)
    frames = [frame async for frame in place.executor.logs(task, ReadLogs("t1"))]
    assert [(frame.stream, frame.line) for frame in frames] == [(1, b"one"), (1, b"two")]
    assert frames[0].time_ns <= frames[1].time_ns
    last = [frame async for frame in place.executor.logs(task, ReadLogs("t1", tail=1))]
    assert last == frames[1:]


async def test_it_answers_and_says_what_the_node_is(place: Place) -> None:
    await place.executor.answers()
    assert isinstance(await place.executor.describe(), NodeDescription)
