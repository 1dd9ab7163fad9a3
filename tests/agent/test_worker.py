"""How a node is made true to its assignments, and what it remembers; with fake containers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.msgpack import encode
from msgspec.structs import replace

from skep.agent.disk import Disk
from skep.agent.executor import Started, TaskExit
from skep.agent.reporter import Reporter
from skep.agent.worker import Worker
from skep.model.network import Network, NetworkSpec
from skep.model.node import Node
from skep.model.service import PortConfig
from skep.model.states import TaskState
from skep.model.task import NetworkAttachment, NetworkRef, Task, TaskStatus
from skep.network.values import Backend, PublishedPort
from skep.protocol.messages import Assigned, Assignments, Reference, Statuses
from skep.testing import builders as b
from skep.testing.executor import FakeExecutor

PORT = PortConfig(target_port=80, published_port=8080)
WEB = b.service(name="web")


def assigned(task_id: str, **fields: object) -> Task:
    return replace(b.task(task_id, WEB, state=TaskState.ASSIGNED), ports=[PORT], **fields)


def leading_to(*addresses: str) -> tuple[PublishedPort, ...]:
    """PORT, with tasks at these addresses behind it."""
    backends = tuple(Backend(address=address, port=80) for address in addresses)
    return (PublishedPort(host_port=8080, backends=backends),)


class Bench:
    """A worker, what it reported, and the executor under it."""

    def __init__(self, folder: Path, executor: FakeExecutor) -> None:
        self.reported: dict[str, TaskState] = {}
        self.executor = executor
        self.disk = Disk(folder / "agent.db")
        self.reporter = Reporter(self.disk, self._hear)
        self.worker = Worker("n1", executor, self.disk, self.reporter)
        self._jobs: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.worker.load()
        self._jobs = [
            asyncio.create_task(self.reporter.run()),
            asyncio.create_task(self.worker.run()),
        ]

    async def stop(self) -> None:
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self.worker.close()
        await self.disk.close()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)

    async def _hear(self, statuses: Statuses) -> None:
        self.reported |= {report.task_id: report.status.state for report in statuses.reports}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, FakeExecutor())
    await bench.start()
    yield bench
    await bench.stop()


def complete(*tasks: Task) -> Assignments:
    return Assignments(applies_to=0, results_in=1, assigned=b.assigned(*tasks))


async def test_an_assigned_task_runs_and_answers_on_its_port(bench: Bench) -> None:
    await bench.worker.assign(complete(assigned("t1"), assigned("t2")))
    await bench.until(lambda: bench.reported == dict.fromkeys(["t1", "t2"], TaskState.RUNNING))
    both = leading_to("172.17.0.2", "172.17.0.3")
    await bench.until(lambda: bench.executor.published == both)


async def test_a_port_whose_tasks_stopped_is_refused_and_then_forgotten(bench: Bench) -> None:
    await bench.worker.assign(complete(assigned("t1")))
    await bench.until(lambda: bench.executor.published == leading_to("172.17.0.2"))
    bench.executor.end("t1", 1)
    await bench.until(lambda: bench.executor.published == leading_to())
    await bench.worker.assign(
        Assignments(applies_to=1, results_in=2, removed=b.references("task", "t1"))
    )
    await bench.until(lambda: bench.executor.published == ())


async def test_a_task_that_is_wanted_no_more_stops_and_is_kept(bench: Bench) -> None:
    await bench.worker.assign(complete(assigned("t1")))
    await bench.until(lambda: bench.reported.get("t1") == TaskState.RUNNING)
    ending = assigned("t1", desired_state=TaskState.SHUTDOWN)
    await bench.worker.assign(Assignments(applies_to=1, results_in=2, assigned=b.assigned(ending)))
    await bench.until(lambda: bench.reported["t1"] == TaskState.SHUTDOWN)
    assert "t1" in bench.executor.made


class Watchful(FakeExecutor):
    """Notes which ports led somewhere when a task was stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.published_at_stop: list[object] = []
        self.publish_s = 0.0

    async def publish(self, ports: Collection[PublishedPort]) -> None:
        await asyncio.sleep(self.publish_s)
        await super().publish(ports)

    async def stop(self, task: Task) -> TaskExit | None:
        self.published_at_stop.append(self.published)
        return await super().stop(task)


@pytest.mark.parametrize("wish", ["stop", "forget"])
async def test_a_task_is_stopped_when_nobody_is_sent_to_it_any_more(
    tmp_path: Path, wish: str
) -> None:
    executor = Watchful()
    bench = Bench(tmp_path, executor)
    await bench.start()
    await bench.worker.assign(complete(assigned("t1"), assigned("t2")))
    both = leading_to("172.17.0.2", "172.17.0.3")
    await bench.until(lambda: executor.published == both)
    executor.publish_s = 0.05
    ending = assigned("t1", desired_state=TaskState.SHUTDOWN)
    news = (
        Assignments(applies_to=1, results_in=2, assigned=b.assigned(ending))
        if wish == "stop"
        else Assignments(applies_to=1, results_in=2, removed=b.references("task", "t1"))
    )
    await bench.worker.assign(news)
    await bench.until(lambda: bool(executor.published_at_stop))
    assert executor.published_at_stop == [leading_to("172.17.0.3")]
    await bench.stop()


async def test_the_names_of_a_service_lead_to_its_tasks_that_serve(bench: Bench) -> None:
    place = NetworkAttachment(
        network=NetworkRef(id="net1"), addresses=["10.0.1.5/24"], aliases=["api"]
    )
    await bench.worker.assign(complete(assigned("t1", networks_attachments=[place])))
    addresses = ("10.0.1.5",)
    known = {"web": addresses, "tasks.web": addresses, "api": addresses}
    await bench.until(lambda: bench.executor.names == {"net1": known})
    bench.executor.end("t1", 0)
    await bench.until(lambda: bench.executor.names == {})


async def test_what_a_complete_assignment_does_not_mention_is_removed(bench: Bench) -> None:
    await bench.worker.assign(complete(assigned("t1"), assigned("t2")))
    await bench.until(lambda: len(bench.executor.running) == 2)
    await bench.worker.assign(complete(assigned("t2")))
    await bench.until(lambda: set(bench.executor.made) == {"t2"})


async def test_what_nobody_knows_is_removed(bench: Bench) -> None:
    bench.executor.made["stray"] = asyncio.get_running_loop().create_future()
    await bench.worker.assign(complete(assigned("t1")))
    await bench.until(lambda: set(bench.executor.made) == {"t1"})


async def test_a_task_that_cannot_be_made_is_rejected_with_the_reason(bench: Bench) -> None:
    bench.executor.refuse["app:1"] = "No such image: app:1"
    await bench.worker.assign(complete(assigned("t1")))
    await bench.until(lambda: bench.reported.get("t1") == TaskState.REJECTED)
    assert bench.worker.reports()[0].status.err == "No such image: app:1"


async def test_after_a_restart_tasks_are_taken_up_where_they_were(
    bench: Bench, tmp_path: Path
) -> None:
    await bench.worker.assign(complete(assigned("t1"), assigned("t2")))
    await bench.until(lambda: bench.reported.get("t2") == TaskState.RUNNING)
    await bench.until(lambda: bench.reported.get("t1") == TaskState.RUNNING)
    await bench.stop()
    bench.executor.end("t2", 3)
    again = Bench(tmp_path, bench.executor)
    await again.start()
    await again.until(lambda: again.reported.get("t2") == TaskState.FAILED)
    states = {report.task_id: report.status.state for report in again.worker.reports()}
    assert states["t1"] == TaskState.RUNNING
    await again.until(lambda: again.executor.published == leading_to("172.17.0.2"))
    await again.stop()


class SlowToFind(FakeExecutor):
    """Tells what is published; finds `hidden` containers only when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[PublishedPort, ...]] = []
        self.hidden = ""
        self.show = asyncio.Event()

    async def start(self, task: Task) -> Started:
        if task.id == self.hidden:
            await self.show.wait()
        return await super().start(task)

    async def publish(self, ports: Collection[PublishedPort]) -> None:
        self.told.append(tuple(ports))
        await super().publish(ports)


async def test_after_a_restart_no_port_is_closed_until_it_is_known_who_serves(
    tmp_path: Path,
) -> None:
    """What was published before stands meanwhile."""
    executor = SlowToFind()
    before = Bench(tmp_path, executor)
    await before.start()
    await before.worker.assign(complete(assigned("t1"), assigned("t2")))
    both = leading_to("172.17.0.2", "172.17.0.3")
    await before.until(lambda: executor.published == both)
    await before.until(lambda: before.reported == dict.fromkeys(["t1", "t2"], TaskState.RUNNING))
    await before.stop()
    executor.told.clear()
    executor.hidden = "t2"
    after = Bench(tmp_path, executor)
    await after.start()
    await asyncio.sleep(0.1)
    assert executor.told == []
    executor.show.set()
    await after.until(lambda: bool(executor.told))
    assert all(told == both for told in executor.told)
    await after.stop()


@pytest.mark.logs_errors("busy")
async def test_a_stop_that_fails_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skep.agent.controller._STOP_RETRY_S", 0.01)
    tries = []
    stop = bench.executor.stop

    async def stubborn(task: Task) -> object:
        tries.append(task.id)
        if len(tries) < 3:
            raise OSError("busy")
        return await stop(task)

    monkeypatch.setattr(bench.executor, "stop", stubborn)
    await bench.worker.assign(complete(assigned("t1")))
    await bench.until(lambda: bench.reported.get("t1") == TaskState.RUNNING)
    ending = assigned("t1", desired_state=TaskState.SHUTDOWN)
    await bench.worker.assign(Assignments(applies_to=1, results_in=2, assigned=b.assigned(ending)))
    await bench.until(lambda: bench.reported["t1"] == TaskState.SHUTDOWN)
    assert len(tries) == 3


class Heedful(FakeExecutor):
    """Notes with which credentials each task was made."""

    def __init__(self) -> None:
        super().__init__()
        self.auths: dict[str, str] = {}

    async def create(self, task: Task, node: Node, registry_auth: str) -> None:
        self.auths[task.id] = registry_auth
        await super().create(task, node, registry_auth)


async def preparing(tmp_path: Path, task_id: str) -> None:
    """A pull was going on when the agent was killed."""
    disk = Disk(tmp_path / "agent.db")
    await disk.load()
    status = TaskStatus(state=TaskState.PREPARING, timestamp=b.at(1))
    await disk.report({task_id: status})
    await disk.close()


AUTH_OF_WEB = b.references("registry-auth", "web")


async def test_after_a_restart_credentials_are_waited_for_and_nothing_else_is(
    tmp_path: Path,
) -> None:
    """Not known is not empty: a private image would be refused without them."""
    executor = Heedful()
    before = Bench(tmp_path, executor)
    await before.start()
    private = b.assigned(assigned("private"), needs=AUTH_OF_WEB, web="secret")
    open_to_all = b.assigned(b.task("open", b.service(name="db"), state=TaskState.ASSIGNED))
    running = b.assigned(assigned("runs"), needs=AUTH_OF_WEB)
    everything = Assignments(results_in=1, assigned=[*private, *open_to_all, *running])
    await before.worker.assign(everything)
    await before.until(lambda: len(executor.running) == 3)
    await before.stop()
    for task_id in ("private", "open"):
        await preparing(tmp_path, task_id)
        executor.running.discard(task_id)
        del executor.made[task_id], executor.auths[task_id]

    again = Bench(tmp_path, executor)
    await again.start()
    await again.until(lambda: again.reported.get("open") == TaskState.RUNNING)
    assert executor.auths == {"open": "", "runs": "secret"}
    states = {report.task_id: report.status.state for report in again.worker.reports()}
    assert states["private"] == TaskState.PREPARING
    assert "runs" in executor.running
    await again.worker.assign(everything)
    await again.until(lambda: again.reported.get("private") == TaskState.RUNNING)
    assert executor.auths["private"] == "secret"
    await again.stop()


@pytest.mark.parametrize("wish", ["needs nothing any more", "is to shut down"])
async def test_who_waits_for_what_is_not_said_goes_on_when_the_wish_changes(
    bench: Bench, wish: str
) -> None:
    await bench.worker.assign(
        Assignments(results_in=1, assigned=b.assigned(assigned("t1"), needs=AUTH_OF_WEB))
    )
    await bench.until(lambda: bench.reported.get("t1") == TaskState.PREPARING)
    await asyncio.sleep(0.02)
    assert bench.executor.made == {}
    if wish == "is to shut down":
        ending = assigned("t1", desired_state=TaskState.SHUTDOWN)
        after, told = TaskState.SHUTDOWN, b.assigned(ending, needs=AUTH_OF_WEB)
    else:
        after, told = TaskState.RUNNING, b.assigned(assigned("t1"))
    await bench.worker.assign(Assignments(applies_to=1, results_in=2, assigned=told))
    await bench.until(lambda: bench.reported["t1"] == after)


async def test_a_kind_without_a_row_here_is_kept_waited_for_and_forgotten(
    tmp_path: Path,
) -> None:
    """A manager's row is enough, where the agent has nothing to do with it."""
    needs = b.references("greeting", "n1")
    bench = Bench(tmp_path, FakeExecutor())
    await bench.start()
    await bench.worker.assign(
        Assignments(results_in=1, assigned=b.assigned(assigned("t1"), needs=needs))
    )
    await bench.until(lambda: bench.reported.get("t1") == TaskState.PREPARING)
    hello = Assigned("greeting", "n1", 1, b"\xa5hello")
    await bench.worker.assign(Assignments(applies_to=1, results_in=2, assigned=[hello]))
    await bench.until(lambda: bench.reported["t1"] == TaskState.RUNNING)
    await bench.stop()
    again = Bench(tmp_path, bench.executor)
    await again.start()
    assert again.worker._supplies.get("greeting", "n1") == hello.body
    await again.worker.assign(Assignments(applies_to=1, results_in=2, removed=needs))
    assert again.worker._supplies.get("greeting", "n1") is None
    await again.stop()


async def test_a_file_of_the_time_before_kinds_is_taken_over(tmp_path: Path) -> None:
    network = Network(id="n", spec=NetworkSpec(name="net"))
    task, status = assigned("t1"), TaskStatus(state=TaskState.RUNNING, timestamp=b.at(1))
    with closing(sqlite3.connect(tmp_path / "agent.db")) as old, old:
        old.execute("CREATE TABLE tasks (id TEXT PRIMARY KEY, task BLOB, status BLOB)")
        old.execute("CREATE TABLE networks (id TEXT PRIMARY KEY, network BLOB)")
        old.execute("INSERT INTO tasks VALUES (?, ?, ?)", ("t1", encode(task), encode(status)))
        old.execute("INSERT INTO networks VALUES (?, ?)", ("n", encode(network)))
    for _ in range(2):
        disk = Disk(tmp_path / "agent.db")
        remembered = await disk.load()
        assert remembered.tasks == [(task, (), status)]
        assert remembered.things == {Reference("network", "n"): network}
        await disk.close()
