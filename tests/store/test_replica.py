"""Two managers on one log: one writes, one follows, and nobody sees which."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from skep.kit.errors import Internal, NameTaken, OutOfSequence, Unavailable
from skep.store.change import Change, Commit, Create, Update
from skep.store.log import Entry, Fenced, Log, Unknown
from skep.store.primary import Primary
from skep.store.replica import Replica
from skep.store.store import Store
from skep.store.watch import Lagged, Watch
from skep.testing import builders as b
from skep.testing.logs import MemoryLog, Place, SharedDisk
from skep.testing.writing import by_id

WEB = b.service(name="web")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def leading(log: Log) -> AsyncIterator[Primary]:
    primary = Primary(log)
    await primary.start()
    yield primary
    await primary.close()


@asynccontextmanager
async def following(log: Log, leader: Store) -> AsyncIterator[Replica]:
    replica = Replica(log, leader.commit)
    await replica.start()
    yield replica
    await replica.close()


def commits(watch: Watch) -> list[Commit]:
    found = []
    while (commit := watch.next_nowait()) is not None:
        found.append(commit)
    return found


async def test_a_replica_has_what_was_written_before_it_and_after(place: Place) -> None:
    async with leading(place.log()) as primary:
        await primary.commit([Create(WEB), *(Create(b.task(f"t{n}", WEB)) for n in range(5))])
        async with following(place.log(), primary) as replica:
            assert by_id(replica.view.all()) == by_id(primary.view.all())
            await primary.commit([Create(b.node("n1"))])
            await until(lambda: replica.view.revision == primary.view.revision)
            assert by_id(replica.view.all()) == by_id(primary.view.all())
            assert [task.id for task in replica.view.tasks_of_service("web")] == [
                task.id for task in primary.view.tasks_of_service("web")
            ]


async def test_who_writes_through_a_replica_reads_what_it_wrote(place: Place) -> None:
    async with leading(place.log()) as primary, following(place.log(), primary) as replica:
        for n in range(5):
            revision = await replica.commit([Create(b.node(f"n{n}"))])
            assert replica.view.revision >= revision
            assert replica.view.node(f"n{n}") == primary.view.node(f"n{n}")
        assert await replica.commit([]) == replica.view.revision


async def test_watchers_of_both_see_the_same(place: Place) -> None:
    async with leading(place.log()) as primary, following(place.log(), primary) as replica:
        told, passed_on = primary.watch(), replica.watch()
        await primary.commit([Create(WEB, why="service create")])
        web = primary.view.services()[0]
        await replica.commit([Update(replace(web, spec_version=web.version), why="service update")])
        seen = commits(told)
        assert [commit.events[0].why for commit in seen] == ["service create", "service update"]
        assert commits(passed_on) == seen


async def test_what_the_writer_refuses_is_refused(place: Place) -> None:
    async with leading(place.log()) as primary, following(place.log(), primary) as replica:
        await replica.commit([Create(WEB)])
        with pytest.raises(NameTaken):
            await replica.commit([Create(replace(WEB, id="another"))])
        web = replica.view.services()[0]
        await replica.commit([Update(web)])
        with pytest.raises(OutOfSequence):
            await replica.commit([Update(web)])


async def test_another_manager_takes_over_and_the_replica_goes_on(place: Place) -> None:
    """The old one lives on, and does not know yet."""
    async with leading(place.log()) as old, following(place.log(), old) as replica:
        watch = replica.watch()
        await old.commit([Create(WEB)])
        async with leading(place.log()) as new:
            await new.commit([Create(b.node("n1"))])
            with pytest.raises(Fenced):
                await old.commit([Create(b.node("n2"))])
            with pytest.raises(Fenced):
                await old.stands()
            with pytest.raises(Unavailable, match="another manager"):
                await old.commit([Create(b.node("n3"))])
            await new.commit([Create(b.node("n4"))])
            await until(lambda: replica.view.revision == new.view.revision)
            assert by_id(replica.view.all()) == by_id(new.view.all())
            assert [commit.revision for commit in commits(watch)] == [1, 2, 3]


async def test_a_replica_outlives_the_writer(place: Place) -> None:
    async with leading(place.log()) as primary:
        await primary.commit([Create(WEB)])
        async with following(place.log(), primary) as replica:
            await primary.close()
            with pytest.raises(Unavailable):
                await replica.commit([Create(b.node("n1"))])
            assert replica.view.service_named("web") is not None
            async with leading(place.log()) as new:
                await new.commit([Create(b.node("n1"))])
                await until(lambda: replica.view.node("n1") is not None)


async def test_a_replica_that_missed_commits_reads_all_anew(place: Place) -> None:
    place.forget_early()
    log = place.log()
    async with leading(log) as primary, following(place.log(), primary) as replica:
        view, watch = replica.view, replica.watch()
        lagged = False

        def lags() -> bool:
            nonlocal lagged
            try:
                commits(watch)
            except Lagged:
                lagged = True
            return lagged

        async with asyncio.timeout(30):
            for n in range(10_000):
                changes = [primary.commit([Create(b.node(f"n{n}-{m}"))]) for m in range(30)]
                await asyncio.gather(*changes)
                if lags():
                    break
        assert lagged
        await until(lambda: replica.view.revision == primary.view.revision)
        assert replica.view is view, "whoever holds it sees what is new"
        assert by_id(view.all()) == by_id(primary.view.all())
        again = replica.watch()
        await replica.commit([Create(WEB)])
        assert [commit.revision for commit in commits(again)] == [replica.view.revision]


async def test_a_replica_whose_log_fails_shows_what_it_had_and_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("skep.store.replica._RETRY_S", 0.01)
    disk = SharedDisk()
    async with leading(MemoryLog(disk)) as primary:
        await primary.commit([Create(WEB)])
        log = MemoryLog(disk)
        async with following(log, primary) as replica:
            log.cut()
            await primary.commit([Create(b.node("n1"))])
            await asyncio.sleep(0.03)
            assert [stored.id for stored in replica.view.all()] == ["web"]
            log.mend()
            await until(lambda: replica.view.node("n1") is not None)


async def test_a_change_that_does_not_come_back_is_said_to_be_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("skep.store.replica._PATIENCE_S", 0.05)
    disk = SharedDisk()
    async with leading(MemoryLog(disk)) as primary:
        log = MemoryLog(disk)
        async with following(log, primary) as replica:
            log.cut()
            with pytest.raises(Unavailable, match="is stored"):
                await replica.commit([Create(WEB)])
            assert primary.view.service_named("web") is not None


async def test_a_lost_answer_of_the_writer_is_passed_on() -> None:
    disk = SharedDisk()

    async def lost(changes: Sequence[Change]) -> int:
        raise Unknown("the line was cut")

    replica = Replica(MemoryLog(disk), lost)
    await replica.start()
    with pytest.raises(Unknown):
        await replica.commit([Create(WEB)])
    await replica.close()
    with pytest.raises(Unavailable):
        await replica.commit([Create(WEB)])


@pytest.mark.logs_errors("can follow the cluster's store no more")
async def test_a_replica_that_cannot_read_a_commit_ends() -> None:
    disk = SharedDisk()
    replica = Replica(MemoryLog(disk), Primary(MemoryLog(disk)).commit)
    await replica.start()
    disk.add([Entry(1, b"\xff")])
    async with asyncio.timeout(30):
        with pytest.raises(Internal, match="follow the cluster's store no more"):
            await replica.stands()
        with pytest.raises(Unavailable, match="can follow the cluster's store no more"):
            await replica.commit([Create(WEB)])
    await replica.close()
