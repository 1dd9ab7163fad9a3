"""C2: an integer beyond 64 bits killed the store's writer, silently and for good.

Numbers are refused at the API beyond what the store and Go's clients can hold; an object that
cannot be kept fails its own commit; and the writer outlives whatever a commit does to it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from skep.kit.errors import InvalidArgument, SkepError, Unavailable
from skep.model.base import Value, decode_json
from skep.model.cluster import ClusterSpec
from skep.model.service import ReplicatedService, ServiceMode, ServiceSpec
from skep.model.task import Task
from skep.store.change import Create, Update
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing import builders as b
from skep.testing.daemon import DaemonHost

_PATIENCE_S = 5.0
_MOST = 2**63 - 1

_SERVICE_FIELDS = [
    "TaskTemplate.ContainerSpec.StopGracePeriod",
    "TaskTemplate.ContainerSpec.Healthcheck.Interval",
    "TaskTemplate.Resources.Limits.NanoCPUs",
    "TaskTemplate.Resources.Limits.Pids",
    "TaskTemplate.Resources.Reservations.MemoryBytes",
    "TaskTemplate.RestartPolicy.Delay",
    "TaskTemplate.RestartPolicy.MaxAttempts",
    "TaskTemplate.ForceUpdate",
    "Mode.Replicated.Replicas",
    "UpdateConfig.Parallelism",
    "UpdateConfig.Delay",
]
_CLUSTER_FIELDS = [
    "Orchestration.TaskHistoryRetentionLimit",
    "Dispatcher.HeartbeatPeriod",
    "CAConfig.NodeCertExpiry",
]


def body(field: str, value: int) -> bytes:
    inner = str(value)
    for name in reversed(field.split(".")):
        inner = f'{{"{name}":{inner}}}'
    return inner.encode()


@pytest.mark.parametrize("value", [_MOST + 1, 2**64, 10**30, -(2**63) - 1])
@pytest.mark.parametrize("field", _SERVICE_FIELDS)
def test_a_service_is_refused_with_a_number_beyond_64_bits(field: str, value: int) -> None:
    with pytest.raises(InvalidArgument, match=r"Expected `int`.*Template|Mode|UpdateConfig"):
        decode_json(body(field, value), ServiceSpec)


@pytest.mark.parametrize("field", _CLUSTER_FIELDS)
def test_cluster_settings_are_refused_with_a_number_beyond_64_bits(field: str) -> None:
    with pytest.raises(InvalidArgument, match="Expected `int`"):
        decode_json(body(field, 2**64), ClusterSpec)


@pytest.mark.parametrize("field", [f for f in _SERVICE_FIELDS if "Replicas" not in f])
def test_what_docker_takes_is_taken(field: str) -> None:
    read: Value = decode_json(body(field, _MOST), ServiceSpec)
    assert msgspec.msgpack.encode(read)


def test_the_daemon_refuses_and_goes_on(swarm: DaemonHost) -> None:
    spec = {"ContainerSpec": {"Image": "web:1", "StopGracePeriod": 2**64}}
    refused = swarm.api("POST", "/services/create", {"Name": "x", "TaskTemplate": spec})
    assert refused.status == 400
    assert "StopGracePeriod" in refused.message
    swarm.ok("service", "create", "--detach", "--name", "after", "--replicas", "0", "web:1")
    swarm.ok("service", "rm", "after")


def task(task_id: str, slot: int = 1) -> Task:
    return b.task(task_id, b.service(name="web"), slot)


async def test_an_object_that_cannot_be_kept_fails_its_own_commit(store: Primary) -> None:
    """Whoever made it, and whatever came to the writer in the same batch."""
    async with asyncio.timeout(_PATIENCE_S):
        done = await asyncio.gather(
            store.commit([Create(task("a"))]),
            store.commit([Create(task("b", slot=2**64)), Create(task("c"))]),
            store.commit([Create(replace(task("d"), cause="\ud800"))]),
            store.commit([Create(task("e"))]),
            return_exceptions=True,
        )
        assert [type(each) for each in done] == [int, InvalidArgument, InvalidArgument, int]
        assert "task b cannot be stored" in str(done[1])
        await store.commit([Create(task("f"))])
    assert [t.id for t in store.view.tasks()] == ["a", "e", "f"]


class FaultyLog(SqliteLog):
    """Raises what it is given, then works again."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.faults: list[BaseException] = []

    async def append(self, *what: Any) -> None:
        if self.faults:
            raise self.faults.pop()
        await super().append(*what)


@pytest.mark.logs_errors("commits cannot be written")
async def test_the_writer_outlives_whatever_the_log_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faulty = FaultyLog(tmp_path / "store.db")
    store = Primary(faulty)
    await store.start()
    faulty.faults = [OverflowError("too big"), RecursionError(), Unavailable("full")]
    async with asyncio.timeout(_PATIENCE_S):
        for _ in range(3):
            with pytest.raises(SkepError):
                await store.commit([Create(task("a"))])
        await store.commit([Create(task("a"))])
        await store.close()
    assert sum("cannot be written" in each.message for each in caplog.records) == 2


@pytest.mark.logs_errors("the store's writer failed")
async def test_a_writer_that_cannot_go_on_ends_the_manager(
    store: Primary, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Memory that is not what the log holds must not be decided over."""
    standing = asyncio.create_task(store.stands())

    def broken(*_: object) -> None:
        raise KeyError("a table")

    monkeypatch.setattr(store.view, "apply", broken)
    waiting = asyncio.create_task(store.commit([Create(task("a"))]))
    async with asyncio.timeout(_PATIENCE_S):
        with pytest.raises(SkepError, match="writer failed"):
            await standing
        with pytest.raises(Unavailable, match="writer failed"):
            await store.commit([Create(task("b"))])
        with pytest.raises(Unavailable, match="writer failed"):
            await waiting
    assert any(each.levelno == logging.CRITICAL for each in caplog.records)


async def test_what_an_older_skep_kept_beyond_the_bounds_keeps_no_manager_from_starting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store.db"
    store = Primary(SqliteLog(path))
    await store.start()
    web = b.service(name="web")
    mode = ServiceMode(replicated=ReplicatedService(replicas=2**64 - 1))
    naive = replace(
        task("t"), status=replace(task("t").status, timestamp=b.T0.replace(tzinfo=None))
    )
    await store.commit([Create(replace(web, spec=replace(web.spec, mode=mode))), Create(naive)])
    await store.close()
    again = Primary(SqliteLog(path))
    await again.start()
    found = again.view.services()[0].spec.mode.replicated
    assert found is not None
    assert found.replicas == _MOST
    assert again.view.tasks()[0].status.timestamp == b.T0
    assert sum("as far as it makes sense" in each.message for each in caplog.records) == 2
    await again.commit([Update(again.view.services()[0])])
    await again.close()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("UPDATE commits SET body = x'ff'", "commit 1"),
        ("INSERT INTO objects VALUES ('task', 'u', x'ff')", "task u"),
    ],
)
async def test_what_cannot_be_read_at_all_is_named(tmp_path: Path, damage: str, named: str) -> None:
    path = tmp_path / "store.db"
    store = Primary(SqliteLog(path))
    await store.start()
    await store.commit([Create(task("t"))])
    await store.close()
    with sqlite3.connect(path) as connection:
        connection.execute(damage)
    connection.close()
    again = Primary(SqliteLog(path))
    with pytest.raises(Unavailable, match=f"cannot be used: {named} cannot be read"):
        await again.start()
    await again.close()
