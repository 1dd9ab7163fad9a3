"""A slot of a service at peace is settled without a look at the others, to the same end."""

from __future__ import annotations

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from skep.manager.observations import NOTHING_SEEN
from skep.manager.orchestrator import Orchestrator
from skep.model.service import RestartPolicy, UpdateStatus
from skep.model.states import TaskState
from skep.model.task import Task
from skep.store.change import Create, Update
from skep.testing.builders import at, ids, node, service, task, view
from skep.testing.transcript import look

RUNNING, READY, SHUTDOWN = TaskState.RUNNING, TaskState.READY, TaskState.SHUTDOWN
NODES = [node("n1"), node("n2", state="down"), node("n3")]
WEB = service(6)
STATES = [TaskState.NEW, TaskState.PREPARING, RUNNING, TaskState.COMPLETE, TaskState.FAILED]


@given(
    slots=st.lists(
        st.tuples(
            st.sampled_from(STATES),
            st.sampled_from([RUNNING, READY]),
            st.sampled_from(["n1", "n2"]),
        ),
        min_size=6,
        max_size=6,
    ),
    condition=st.sampled_from(["any", "on-failure", "none"]),
)
def test_a_look_at_each_slot_finds_what_a_look_at_the_service_finds(
    slots: list[tuple[TaskState, TaskState, str]], condition: Literal["any", "on-failure", "none"]
) -> None:
    web = service(6, restart=RestartPolicy(condition=condition))
    tasks = [
        task(f"t{slot}", web, slot, on=on, state=state, desired=desired)
        for slot, (state, desired, on) in enumerate(slots, 1)
    ]
    objects = view(web, NODES, tasks)
    keys = frozenset(f"web/{slot}" for slot in range(1, 7))
    whole = Orchestrator().plan(objects, NOTHING_SEEN, frozenset({"web"}), at(100), ids())
    apart = Orchestrator().plan(objects, NOTHING_SEEN, keys, at(100), ids())
    assert apart.changes == whole.changes
    assert set(apart.wake.values()) == set(whole.wake.values())


def test_only_the_slot_in_which_something_happened_is_looked_at() -> None:
    dead = [task(f"t{slot}", WEB, slot, state=TaskState.FAILED) for slot in (1, 2)]
    assert look(Orchestrator(), view(WEB, node(), dead), "web/2") == [
        "t2 to shutdown: it failed",
        "new new1 in slot 2 held: replaces task t2: it failed",
        "look at web/2 again in 5 s",
    ]


def test_a_held_task_is_raised_by_a_look_at_its_slot() -> None:
    held = replace(task("a", WEB, 3, desired=READY), hold_until=at(105))
    assert look(Orchestrator(), view(WEB, node(), held), "web/3") == ["look at web/3 again in 5 s"]
    assert look(Orchestrator(), view(WEB, node(), held), "web/3", now=105) == ["a to running"]


def test_an_empty_slot_is_no_affair_of_a_look_at_it() -> None:
    gone = task("a", WEB, 2, state=TaskState.SHUTDOWN, desired=TaskState.REMOVE)
    assert look(Orchestrator(), view(WEB, node(), gone), "web/2", "web/5") == []


def test_a_slot_of_a_service_that_is_updated_meanwhile_is_looked_at_with_the_others() -> None:
    updating = replace(WEB, update_status=UpdateStatus(state="updating", started_at=at(1)))
    plan = Orchestrator().plan(
        view(updating, node()), NOTHING_SEEN, frozenset({"web/2"}), at(100), ids()
    )
    born = [change.new for change in plan.changes if isinstance(change, Create)]
    assert [task.slot for task in born if isinstance(task, Task)] == [1, 2, 3, 4, 5, 6]


def test_the_tasks_of_a_service_that_is_gone_go_whatever_slot_is_looked_at() -> None:
    plan = Orchestrator().plan(
        view(task("a", WEB)), NOTHING_SEEN, frozenset({"web/1", "web/9"}), at(100), ids()
    )
    assert [isinstance(change, Update) for change in plan.changes] == [True]
