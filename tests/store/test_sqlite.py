"""What holds for the log in a file alone: its older form, and what it costs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from skep.kit.errors import Unavailable
from skep.model.states import TaskState
from skep.model.task import TaskStatus
from skep.store import form
from skep.store.change import Create, Update
from skep.store.kinds import Stored, kind_of
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing import builders as b
from skep.testing.writing import Writer, by_id

WEB = b.service(name="web")
OBJECTS: list[Stored] = [WEB, b.node("n1"), b.cluster(), *(b.task(f"t{n}", WEB) for n in range(3))]

SCHEMA_1 = """
CREATE TABLE objects (
    kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE revision (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER);
PRAGMA user_version = 1;
"""


def write_schema_1(path: Path, revision: object) -> None:
    """As skep kept its store before it kept commits."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA_1)
        database.execute("INSERT INTO revision VALUES (1, ?)", (revision,))
        for stored in OBJECTS:
            kind = kind_of(stored).name
            row = (kind, stored.id, form.encode(kind, stored))
            database.execute("INSERT INTO objects VALUES (?, ?, ?)", row)
        database.commit()


async def test_what_an_older_skep_kept_is_read_and_written_on(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    write_schema_1(path, 41)
    for expected in (42, 43):
        store = Primary(SqliteLog(path))
        await store.start()
        if expected == 42:
            assert by_id(store.view.all()) == by_id(OBJECTS)
        web = store.view.services()[0]
        assert await store.commit([Update(replace(web, spec_version=web.version))]) == expected
        before = by_id(store.view.all())
        await store.close()
    assert by_id((await SqliteLog(path).load()).objects) == before


@pytest.mark.parametrize("revision", ["novelty", None])
async def test_an_older_file_that_is_damaged_is_left_as_it_is(
    tmp_path: Path, revision: object
) -> None:
    path = tmp_path / "store.db"
    write_schema_1(path, revision)
    for _ in range(2):
        log = SqliteLog(path)
        with pytest.raises(Unavailable, match="damaged"):
            await log.load()
        await log.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM commits WHERE revision = 2",
        "UPDATE state SET folded = 'novelty'",
        "DELETE FROM state",
        "DROP TABLE state",
        "DROP TABLE commits",
        "PRAGMA user_version = 99",
    ],
)
async def test_a_file_with_a_piece_missing_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "store.db"
    log, writer = SqliteLog(path), Writer()
    epoch = await log.lead()
    await log.append(epoch, writer.entries(*([Create(b.node(f"n{n}"))] for n in range(3))))
    await log.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(damage)
    again = Primary(SqliteLog(path))
    with pytest.raises(Unavailable, match=r"store\.db cannot be used"):
        await again.start()
    await again.close()


async def test_a_status_costs_a_tenth_of_its_task(tmp_path: Path) -> None:
    """The spec is not written again when the status changes."""
    path = tmp_path / "store.db"
    labels = {f"com.example.label-{n}": "x" * 50 for n in range(40)}
    web = replace(WEB, spec=replace(WEB.spec, labels=labels))
    task = replace(b.task("t1", web), labels=labels)
    writer = Writer()
    (made,) = writer.entries([Create(task)])
    stored = writer.view.task("t1")
    assert stored is not None
    status = TaskStatus(timestamp=b.T0, state=TaskState.RUNNING, message="started")
    (changed,) = writer.entries([Update(replace(stored, status=status))])
    assert len(made.body) > 2_000
    assert len(changed.body) < 250
    log = SqliteLog(path)
    await log.append(await log.lead(), [made, changed])
    assert (await log.load()).objects == [writer.view.task("t1")]
    await log.close()


async def test_commits_are_folded_beside_appends_and_the_file_does_not_grow_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skep.store.sqlite._FOLD_BYTES", 10_000)
    path = tmp_path / "store.db"
    log, writer = SqliteLog(path), Writer()
    epoch = await log.lead()
    await log.append(epoch, writer.entries([Create(b.node("n1"))]))
    most = 0
    for n in range(300):
        node = writer.view.nodes()[0]
        status = replace(node.status, message=f"{n}: " + "x" * 500)
        await log.append(epoch, writer.entries([Update(replace(node, status=status))]))
        with closing(sqlite3.connect(path)) as database:
            most = max(most, *database.execute("SELECT count(*) FROM commits").fetchone())
    assert 20 < most < 150, "two folds of twenty, and what comes while they are folded"
    assert by_id((await log.load()).objects) == by_id(writer.view.all())
    await log.close()
