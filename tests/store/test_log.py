"""What every log promises: the one on the disk and the one that tests use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import count

import pytest
from msgspec.structs import replace

from skep.kit.errors import Unavailable
from skep.model.states import TaskState
from skep.model.task import Task
from skep.store import form
from skep.store.change import Commit, Create, Delete, Update
from skep.store.log import Compacted, Entry, Fenced, Log
from skep.store.memory import MemoryView
from skep.testing import builders as b
from skep.testing.logs import Place
from skep.testing.writing import Writer, by_id

WEB = b.service(name="web")


async def appended(log: Log, writer: Writer, number: int = 3) -> int:
    """So many commits of every sort; the epoch they were written in."""
    epoch = await log.lead()
    await log.append(epoch, writer.entries([Create(WEB, why="service create")]))
    for n in range(number):
        await log.append(epoch, writer.entries([Create(b.task(f"t{n}", WEB, n + 1), why="scale")]))
        await log.append(epoch, writer.entries([Update(shut_down(task(writer, n)), why="update")]))
    await log.append(epoch, writer.entries([Delete(task(writer, 0), why="history")]))
    return epoch


def task(writer: Writer, number: int) -> Task:
    found = writer.view.task(f"t{number}")
    assert found is not None
    return found


def shut_down(task: Task) -> Task:
    return replace(task, desired_state=TaskState.SHUTDOWN, cause_of_end="it was enough")


async def taken(follower: AsyncIterator[Sequence[Entry]], number: int) -> list[Entry]:
    """So many entries, of a follower that goes on."""
    entries: list[Entry] = []
    async with asyncio.timeout(30):
        while len(entries) < number:
            entries += await anext(follower)
    return entries


async def test_a_new_log_is_empty(place: Place) -> None:
    snapshot = await place.log().load()
    assert (snapshot.revision, snapshot.objects) == (0, [])


async def test_what_was_appended_is_loaded_by_anybody(place: Place) -> None:
    log, writer = place.log(), Writer()
    await appended(log, writer)
    for reader in (log, place.log()):
        snapshot = await reader.load()
        assert snapshot.revision == writer.view.revision
        assert by_id(snapshot.objects) == by_id(writer.view.all())


async def test_what_was_appended_outlives_its_writer(place: Place) -> None:
    log, writer = place.log(), Writer()
    await appended(log, writer)
    await log.close()
    assert by_id((await place.log().load()).objects) == by_id(writer.view.all())


async def test_a_follower_has_every_commit_as_it_was_published(place: Place) -> None:
    """With what was there before, with what it became, and why."""
    log, writer = place.log(), Writer()
    await appended(log, writer)
    entries = await taken(place.log().follow(0), len(writer.commits))
    view = MemoryView()
    for entry, published in zip(entries, writer.commits, strict=True):
        commit = form.commit(entry, view.get)
        assert commit == published
        view.apply(commit.revision, commit.events)
    assert by_id(view.all()) == by_id(writer.view.all())


async def test_a_follower_has_what_comes_after_it_began(place: Place) -> None:
    log, writer = place.log(), Writer()
    epoch = await appended(log, writer)
    begun = writer.view.revision
    follower = place.log().follow(begun)
    waiting = asyncio.create_task(taken(follower, 3))
    for n in range(3):
        await log.append(epoch, writer.entries([Create(b.node(f"n{n}"))]))
    entries = await waiting
    assert [entry.revision for entry in entries] == [begun + 1, begun + 2, begun + 3]


async def test_a_follower_that_is_too_far_behind_is_told(place: Place) -> None:
    place.forget_early()
    log, writer = place.log(), Writer()
    epoch = await appended(log, writer)
    with pytest.raises(Compacted):
        async with asyncio.timeout(30):
            for n in count():
                await log.append(epoch, writer.entries([Create(b.node(f"n{n}"))]))
                await anext(place.log().follow(0))
    snapshot = await place.log().load()
    assert by_id(snapshot.objects) == by_id(writer.view.all())
    assert snapshot.revision == writer.view.revision


async def test_whenever_it_is_read_all_is_there(place: Place) -> None:
    """Also while commits are being folded and forgotten."""
    place.forget_early()
    log, reader, writer = place.log(), place.log(), Writer()
    epoch = await log.lead()
    await log.append(epoch, writer.entries([Create(WEB)]))
    for n in range(40):
        changes = writer.entries([Create(b.task(f"t{n}", WEB, n + 1))])
        changes += writer.entries([Update(shut_down(task(writer, n)))])
        if n % 2:
            changes += writer.entries([Delete(task(writer, n - 1))])
        await log.append(epoch, changes)
        snapshot = await reader.load()
        assert snapshot.revision == writer.view.revision
        assert by_id(snapshot.objects) == by_id(writer.view.all())


async def test_an_old_writer_is_refused_and_writes_nothing(place: Place) -> None:
    old, writer = place.log(), Writer()
    epoch = await appended(old, writer)
    new = place.log()
    newer_epoch = await new.lead()
    before = await new.load()
    with pytest.raises(Fenced):
        await old.append(epoch, Writer().entries([Create(b.node("never"))]))
    assert (await new.load()).revision == before.revision
    await new.append(newer_epoch, writer.entries([Create(b.node("n1"))]))
    assert by_id((await new.load()).objects) == by_id(writer.view.all())


async def test_each_writer_has_an_epoch_of_its_own(place: Place) -> None:
    first, second = place.log(), place.log()
    epochs = [await first.lead(), await second.lead(), await first.lead()]
    assert epochs == sorted(set(epochs))


async def test_a_log_that_was_closed_refuses(place: Place) -> None:
    log, writer = place.log(), Writer()
    epoch = await appended(log, writer)
    await log.close()
    await log.close()
    with pytest.raises(Unavailable):
        await log.append(epoch, writer.entries([Create(b.node("n1"))]))
    with pytest.raises(Unavailable):
        await anext(log.follow(0))


async def test_of_a_batch_all_is_stored_or_nothing(place: Place) -> None:
    log, writer = place.log(), Writer()
    epoch = await appended(log, writer)
    before = await log.load()
    entries = writer.entries([Create(b.node("n1"))], [Create(b.node("n2"))])
    with pytest.raises(Fenced, match="commit 9 does not follow upon 10"):
        await log.append(epoch, [*entries, entries[0]])
    with pytest.raises(Fenced, match="commit 10 does not follow upon 8"):
        await log.append(epoch, entries[1:])
    assert await log.load() == before
    await log.append(epoch, entries)
    assert by_id((await log.load()).objects) == by_id(writer.view.all())


def test_a_commit_is_its_events_and_back() -> None:
    """A create, an update and a removal of the same object in one commit, too."""
    writer = Writer()
    t0 = b.task("t0", WEB)
    (made,) = writer.entries([Create(WEB), Create(t0)])
    old = task(writer, 0)
    (changed,) = writer.entries([Delete(old, why="one"), Create(t0, why="other")])
    view = MemoryView()
    commits: list[Commit] = []
    for entry in (made, changed):
        commits.append(form.commit(entry, view.get))
        view.apply(entry.revision, commits[-1].events)
    assert commits == writer.commits
