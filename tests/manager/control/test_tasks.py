"""Tasks are found by what people know of them."""

from __future__ import annotations

from typing import Any

import pytest

from skep.kit.errors import InvalidArgument, NotFound
from skep.kit.where import Where, anything
from skep.manager.control import Control
from skep.model.service import Service
from skep.model.states import TaskState
from skep.model.task import Task
from skep.store.change import Create
from skep.store.store import Store
from skep.testing.builders import spec, task


@pytest.fixture
async def web(control: Control, store: Store) -> Service:
    """web with tasks web-1 on m1 and web-2 on w1, the second on its way out."""
    await control.services.create(spec(2, name="web", labels={"tier": "front"}))
    web = control.services.get("web")
    stopping = task("task2", web, 2, on="w1", desired=TaskState.SHUTDOWN)
    await store.commit([Create(task("task1", web, 1, on="m1")), Create(stopping)])
    return web


async def found(control: Control, where: Where[Task] = anything, **words: Any) -> list[str]:
    return [this.id for this in await control.tasks.find(where, **words)]


async def test_tasks_are_found_by_service_by_node_and_by_what_is_asked_of_them(
    control: Control, web: Service
) -> None:
    assert await found(control) == ["task1", "task2"]
    assert await found(control, services=["web"]) == ["task1", "task2"]
    assert await found(control, services=[web.id], nodes=["w1"]) == ["task2"]
    assert await found(control, nodes=["m1", "w1"]) == ["task1", "task2"]
    assert await found(control, lambda task: task.slot == 1) == ["task1"]
    assert await found(control, services=[]) == []


@pytest.mark.parametrize("key", ["services", "nodes"])
async def test_tasks_of_nothing_known_are_not_found(
    control: Control, web: Service, key: str
) -> None:
    with pytest.raises(NotFound, match=f"{key[:-1]} n9 not found"):
        await found(control, anything, **{key: ["n9"]})


async def test_up_to_date_means_made_from_the_spec_of_now(control: Control, web: Service) -> None:
    """A new label makes no task stale, a new image does."""

    async def update(**words: Any) -> None:
        now = control.services.get("web")
        await control.services.update("web", now.version.index, spec(2, name="web", **words))

    assert await found(control, up_to_date=True) == ["task1", "task2"]
    await update(labels={"tier": "back"})
    assert await found(control, up_to_date=True) == ["task1", "task2"]
    await update(image="app:2")
    assert await found(control, up_to_date=True) == []
    assert await found(control, up_to_date=False) == ["task1", "task2"]


async def test_tasks_of_a_removed_service_are_found_by_its_whole_id(
    control: Control, web: Service
) -> None:
    await control.services.remove("web")
    assert await found(control, services=[web.id]) == ["task1", "task2"]
    with pytest.raises(NotFound):
        await found(control, services=["web"])


async def test_a_task_is_known_by_its_id_its_name_and_the_start_of_its_id(
    control: Control, web: Service
) -> None:
    for reference in ("task1", "web.1.task1"):
        assert control.tasks.get(reference).id == "task1"
    with pytest.raises(InvalidArgument, match=r"task task is ambiguous \(2 matches found\)"):
        control.tasks.get("task")
    for stranger in ("", "web.2.task1", "x"):
        with pytest.raises(NotFound, match=f"task {stranger} not found"):
            control.tasks.get(stranger)
