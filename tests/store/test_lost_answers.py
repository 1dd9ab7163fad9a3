"""Three outcomes of an append: stored, refused, and nobody knows."""

from __future__ import annotations

import asyncio

import pytest

from skep.kit.errors import Unavailable
from skep.store.change import Create
from skep.store.log import Unknown
from skep.store.primary import Primary
from skep.testing import builders as b
from skep.testing.logs import Fault, MemoryLog, SharedDisk


async def test_a_refused_change_is_stored_nowhere_and_the_next_one_is() -> None:
    log = MemoryLog()
    store = Primary(log)
    await store.start()
    log.faults.append("refused")
    watch = store.watch()
    with pytest.raises(Unavailable, match="full"):
        await store.commit([Create(b.node("n1"))])
    assert watch.next_nowait() is None
    assert await store.commit([Create(b.node("n2"))]) == 1
    assert [node.id for node in store.view.nodes()] == ["n2"]
    await store.close()


@pytest.mark.parametrize("fault", ["lost before it was stored", "lost after it was stored"])
async def test_after_a_lost_answer_nothing_is_written_until_all_is_read_anew(
    fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    disk = SharedDisk()
    log = MemoryLog(disk)
    store = Primary(log)
    await store.start()
    await store.commit([Create(b.node("n1"))])
    log.faults.append(fault)
    first, second = await asyncio.gather(
        store.commit([Create(b.node("n2"))]),
        store.commit([Create(b.node("n3"))]),
        return_exceptions=True,
    )
    for answer in (first, second):
        assert isinstance(answer, Unknown)
        assert "may or may not be stored" in str(answer)
    with pytest.raises(Unknown):
        await store.stands()
    assert "writes no more" in caplog.text
    with pytest.raises(Unavailable):
        await store.commit([Create(b.node("n4"))])
    assert [node.id for node in store.view.nodes()] == ["n1"], "nobody may decide over a guess"

    again = Primary(MemoryLog(disk))
    await again.start()
    stored = ["n1", "n2", "n3"] if fault == "lost after it was stored" else ["n1"]
    assert [node.id for node in again.view.nodes()] == stored
    await again.commit([Create(b.node("n5"))])
    await again.close()
    await store.close()


async def test_whoever_waits_while_the_store_is_closed_is_not_told_a_guess() -> None:
    """The change was on its way: it is stored, or not."""
    store = Primary(log := MemoryLog())
    await store.start()
    waiting = asyncio.create_task(store.commit([Create(b.node("n1"))]))
    while not log.appending:
        await asyncio.sleep(0)
    await store.close()
    with pytest.raises(Unknown, match="may or may not be stored"):
        await waiting
