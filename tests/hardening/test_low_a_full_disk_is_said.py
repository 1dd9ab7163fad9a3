"""A full disk was told as "cannot rollback - no transaction is active": the true error was lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from skep.kit.errors import Unavailable
from skep.store.change import Create
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing import builders as b


async def test_the_error_of_a_full_disk_is_the_one_that_is_told(tmp_path: Path) -> None:
    """SQLite rolls back by itself when the disk is full (sqlite.org/lang_transaction.html)."""
    log = SqliteLog(tmp_path / "store.db")
    store = Primary(log)
    await store.start()
    web = b.service(name="web")
    await store.commit([Create(web)])

    def fill() -> None:
        connection = log._connection
        assert connection is not None
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    await log._call(fill)
    with pytest.raises(Unavailable, match="database or disk is full") as caught:
        await store.commit([Create(b.task(f"t{n}", web)) for n in range(200)])
    assert "rollback" not in str(caught.value)
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    await store.close()
