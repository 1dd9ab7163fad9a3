"""Thousands of agents in one process: each a real session over real TLS, with a certificate of its
own, and nothing behind it. For what a manager does when many call.

    enrol(store, folder, count)             makes them members, as if they had joined
    python -m skep.testing.fleet FOLDER ADDRESS FIRST COUNT     is these agents
    Fleet(folder, address, count)           runs such processes

A process says each 0.1 s, in a line of JSON, what its agents have (`Census`), and ends with its
standard input.
"""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from skep.agent.agent import FIRST_RETRY_S, LAST_RETRY_S
from skep.agent.session import in_parts
from skep.kit.backoff import Backoff
from skep.kit.clock import NS_PER_S, utc_now
from skep.kit.errors import SkepError
from skep.kit.ids import new_id
from skep.manager.ca import authority
from skep.model.node import Node, NodeDescription, NodeSpec, NodeStatus
from skep.model.service import Platform, Resources
from skep.model.states import TaskState
from skep.model.task import TaskStatus
from skep.protocol.link import LinkClosed
from skep.protocol.messages import (
    Assignments,
    FromManager,
    Goodbye,
    Heartbeat,
    Hello,
    StandingChanged,
    Statuses,
    TaskReport,
    Welcome,
)
from skep.protocol.signing import new_request
from skep.protocol.tls import BUSY_S, CertificateFiles, connect, member_context
from skep.store.change import Create
from skep.store.primary import Primary

_LIFE = timedelta(days=1)
_A_COMMIT = 500
_SAY_EACH_S = 0.1
_UNEVEN = 0.1
_DESCRIPTION = NodeDescription(
    platform=Platform(architecture="x86_64", os="linux"),
    resources=Resources(nano_cpus=4 * 10**9, memory_bytes=8 * 2**30),
)


class Census(msgspec.Struct, frozen=True):
    """Of one process, now. `lost` counts sessions that ended, since the process began."""

    sessions: int = 0
    complete: int = 0
    tasks: int = 0
    lost: int = 0


async def enrol(store: Primary, folder: Path, count: int) -> None:
    """Make `count` nodes members of the store's cluster, with their identities below `folder`.

    They share one key, because making thousands takes long and nobody here looks at it.
    """
    secrets = store.view.cluster_secrets()
    assert secrets is not None
    key, request = new_request()
    (folder / "roots.pem").write_text(authority.roots(secrets))
    life_ns = int(_LIFE.total_seconds() * NS_PER_S)
    nodes = []
    for number in range(count):
        node_id = new_id()
        signed = authority.sign(secrets, request, node_id, "worker", life_ns, utc_now())
        (folder / f"{number}.pem").write_text(key + signed.pem)
        nodes.append(
            Node(
                id=node_id,
                spec=NodeSpec(role="worker"),
                description=replace(_DESCRIPTION, hostname=f"fleet{number}"),
                status=NodeStatus(state="unknown", message="joined, not yet heard"),
                certificate_role="worker",
            )
        )
    for start in range(0, count, _A_COMMIT):
        await store.commit([Create(node, "joined") for node in nodes[start : start + _A_COMMIT]])


class LightAgent:
    """One node's line, from one session to the next. Each task that it is given runs at once."""

    def __init__(self, number: int, folder: Path, address: str) -> None:
        files = CertificateFiles(folder / "roots.pem", folder / f"{number}.pem")
        self._context = member_context(files)
        self._address = address
        self._hello = Hello(replace(_DESCRIPTION, hostname=f"fleet{number}"))
        self._statuses: dict[str, TaskStatus] = {}
        self._heartbeat_s = 1.0
        self.in_session = self.is_complete = False
        self.lost = 0
        self._mentioned: set[str] = set()

    @property
    def tasks(self) -> int:
        return len(self._statuses)

    async def run(self) -> None:
        backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S, random.Random())
        while True:
            with suppress(SkepError):
                await self._session()
            if self.in_session:
                backoff.reset()
            self.lost += self.in_session
            self.in_session = self.is_complete = False
            await asyncio.sleep(backoff.next_s())

    async def _session(self) -> None:
        link: Any = await connect(self._address, self._context, FromManager, patience_s=BUSY_S)
        beating = None
        try:
            await link.send(self._hello)
            while True:
                message = await link.receive()
                match message:
                    case Welcome() | StandingChanged():
                        self._heartbeat_s = message.standing.heartbeat_s
                        self.in_session = True
                        beating = beating or asyncio.create_task(self._beat(link))
                    case Assignments():
                        await self._assign(link, message)
                    case Goodbye():
                        raise LinkClosed(message.reason)
        finally:
            if beating is not None:
                beating.cancel()
            link.abort()

    async def _beat(self, link: Any) -> None:
        with suppress(LinkClosed):
            while True:
                await link.send(Heartbeat(self._heartbeat_s))
                await asyncio.sleep(self._heartbeat_s * random.uniform(1 - _UNEVEN, 1))

    async def _assign(self, link: Any, message: Assignments) -> None:
        given = {each.id for each in message.assigned if each.kind == "task"}
        if message.applies_to == 0:
            self._mentioned = set()
        gone = {each.id for each in message.removed if each.kind == "task"}
        if not self.is_complete:
            self._mentioned |= given
            gone = set() if message.more else self._statuses.keys() - self._mentioned
        for task_id in gone:
            self._statuses.pop(task_id, None)
        for task_id in given - self._statuses.keys():
            self._statuses[task_id] = TaskStatus(timestamp=utc_now(), state=TaskState.RUNNING)
        if not message.more:
            news = given if self.is_complete else self._statuses.keys()
            self.is_complete = True
            reports = [TaskReport(task_id, self._statuses[task_id]) for task_id in news]
            for part in in_parts(reports):
                await link.send(Statuses(part))


class Fleet:
    """So many agents in a few processes, until `close`. `prefix` is put before their commands."""

    def __init__(
        self,
        folder: Path,
        address: str,
        count: int,
        processes: int = 1,
        prefix: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._latest = [Census()] * processes
        self._processes = []
        share = -(-count // processes)
        for number in range(processes):
            first = number * share
            words = [str(folder), address, str(first), str(min(share, count - first))]
            process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "skep.testing.fleet", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=pass_fds,
            )
            self._processes.append(process)
            threading.Thread(target=self._hear, args=(number, process), daemon=True).start()

    @property
    def census(self) -> Census:
        """Of all, a moment ago."""
        latest = self._latest
        return Census(*(sum(getattr(each, name) for each in latest) for name in _COUNTED))

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()

    def _hear(self, number: int, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._latest[number] = msgspec.json.decode(line, type=Census)


_COUNTED = Census.__struct_fields__


async def _be(agents: list[LightAgent]) -> None:
    jobs = [asyncio.create_task(agent.run()) for agent in agents]
    saying = asyncio.create_task(_say(agents))
    await asyncio.to_thread(sys.stdin.buffer.read)
    for job in (saying, *jobs):
        job.cancel()
    await asyncio.gather(saying, *jobs, return_exceptions=True)


async def _say(agents: list[LightAgent]) -> None:
    while True:
        census = Census(
            sessions=sum(agent.in_session for agent in agents),
            complete=sum(agent.is_complete for agent in agents),
            tasks=sum(agent.tasks for agent in agents if agent.is_complete),
            lost=sum(agent.lost for agent in agents),
        )
        sys.stdout.write(msgspec.json.encode(census).decode() + "\n")
        sys.stdout.flush()
        await asyncio.sleep(_SAY_EACH_S)


def main(folder: Path, address: str, first: int, count: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    agents = [LightAgent(number, folder, address) for number in range(first, first + count)]
    gc.freeze()
    asyncio.run(_be(agents))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
