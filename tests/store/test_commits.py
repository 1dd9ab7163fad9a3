"""What a commit promises: all or nothing, durable, seen by every watcher in order."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TypeAlias

import pytest
from msgspec.structs import replace

from skep.kit.errors import Conflict, OutOfSequence, Unavailable
from skep.model.base import Version
from skep.model.states import TaskState
from skep.store.change import Create, Delete, Update
from skep.store.primary import Primary
from skep.store.replica import Replica
from skep.store.sqlite import SqliteLog
from skep.store.watch import Lagged
from skep.testing import builders as b

WEB = b.service(name="web")
AnyStore: TypeAlias = Primary | Replica


async def reopened(store: AnyStore, tmp_path: Path) -> Primary:
    await store.close()
    again = Primary(SqliteLog(tmp_path / "store.db"))
    await again.start()
    return again


async def test_what_was_committed_is_there_after_a_restart(store: AnyStore, tmp_path: Path) -> None:
    await store.commit([Create(WEB), Create(b.task("t1", WEB))])
    before = list(store.view.all())
    again = await reopened(store, tmp_path)
    assert list(again.view.all()) == before
    assert again.view.revision == store.view.revision == 1
    await again.close()


async def test_a_commit_stamps_version_and_times(store: AnyStore) -> None:
    revision = await store.commit([Create(WEB)])
    web = store.view.services()[0]
    assert web.version == Version(revision)
    assert web.created_at == web.updated_at
    await store.commit([Update(replace(web, spec_version=Version(9)))])
    again = store.view.services()[0]
    assert (again.created_at, again.version) == (web.created_at, Version(revision + 1))


async def test_a_stale_writer_is_refused_and_changes_nothing(store: AnyStore) -> None:
    await store.commit([Create(WEB)])
    read = store.view.services()[0]
    await store.commit([Update(read)])
    with pytest.raises(OutOfSequence):
        await store.commit([Create(b.task("t1", WEB)), Update(read)])
    assert store.view.tasks() == []


async def test_a_name_is_given_once(store: AnyStore) -> None:
    await store.commit([Create(WEB)])
    with pytest.raises(Conflict, match="service web already exists"):
        await store.commit([Create(replace(WEB, id="another"))])


async def test_a_name_is_free_in_the_commit_that_frees_it(store: AnyStore) -> None:
    await store.commit([Create(WEB)])
    old = store.view.services()[0]
    await store.commit([Delete(old), Create(replace(WEB, id="another"))])
    found = store.view.service_named("web")
    assert found is not None
    assert found.id == "another"


async def test_of_two_writers_in_one_batch_the_second_is_refused(store: AnyStore) -> None:
    await store.commit([Create(WEB)])
    read = store.view.services()[0]
    first, second = await asyncio.gather(
        store.commit([Update(read)]), store.commit([Update(read)]), return_exceptions=True
    )
    assert isinstance(first, int)
    assert isinstance(second, OutOfSequence)


async def test_watchers_see_every_commit_in_order(store: AnyStore) -> None:
    watch = store.watch()
    await asyncio.gather(*(store.commit([Create(b.task(f"t{n}", WEB))]) for n in range(50)))
    revisions = []
    while (commit := watch.next_nowait()) is not None:
        revisions.append(commit.revision)
    assert revisions == list(range(1, 51))
    watch.close()


async def test_a_watcher_that_does_not_read_is_told_to_begin_anew(
    store: AnyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skep.store.watch._MAX_UNREAD", 3)
    watch = store.watch()
    for n in range(5):
        await store.commit([Create(b.task(f"t{n}", WEB))])
    with pytest.raises(Lagged):
        watch.next_nowait()
    watch.close()


async def test_a_closed_store_refuses(store: AnyStore) -> None:
    await store.close()
    with pytest.raises(Unavailable):
        await store.commit([Create(WEB)])


async def test_a_store_that_cannot_be_opened_says_which_file(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"this is no database, it is far too long to be an empty one" * 20)
    store = Primary(SqliteLog(path))
    with pytest.raises(Unavailable, match=r"store\.db"):
        await store.start()
    await store.close()


async def test_the_log_file_is_for_its_owner_alone(store: AnyStore, tmp_path: Path) -> None:
    assert (tmp_path / "store.db").stat().st_mode & 0o777 == 0o600


async def test_indexes_follow_a_task_to_its_node_and_out(store: AnyStore) -> None:
    await store.commit([Create(b.task("t1", WEB, on=""))])
    task = store.view.tasks()[0]
    await store.commit([Update(replace(task, node_id="n1"))])
    assert [t.id for t in store.view.tasks_of_node("n1")] == ["t1"]
    task = store.view.tasks()[0]
    await store.commit([Update(replace(task, desired_state=TaskState.REMOVE))])
    await store.commit([Delete(store.view.tasks()[0])])
    assert store.view.tasks_of_node("n1") == []
    assert store.view.tasks_of_service(task.service_id) == []
