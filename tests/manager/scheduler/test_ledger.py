"""The scheduler's running account never differs from one counted afresh."""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from skep.manager.observations import NOTHING_SEEN
from skep.manager.scheduler import Scheduler
from skep.manager.scheduler.ledger import ClusterLedger
from skep.model.node import Node
from skep.model.service import PortConfig, ResourceRequirements, Resources, TaskSpec
from skep.model.states import TaskState
from skep.model.task import Task, TaskStatus
from skep.store.change import Event
from skep.store.kinds import kind_of
from skep.store.memory import MemoryView
from skep.testing.builders import at, ids, node, service, task, view, written

WISH = ResourceRequirements(reservations=Resources(nano_cpus=10**9, memory_bytes=1 << 20))
BARE = service(1)
WEB = replace(BARE, spec=replace(BARE.spec, task_template=TaskSpec(resources=WISH)))
PORTS = [PortConfig(target_port=80, published_port=80, publish_mode="host")]


Step: TypeAlias = Task | Node | str
"""An object to be stored, or the id of one to be forgotten."""


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    state = draw(st.sampled_from(list(TaskState)))
    on = draw(st.sampled_from(["n1", "n2", "n3"]))
    if state < TaskState.ASSIGNED:
        on = draw(st.sampled_from(["", on]))
    return task(
        draw(st.sampled_from("abcdef")),
        WEB,
        draw(st.integers(1, 3)),
        on=on,
        state=state,
        desired=draw(st.sampled_from([TaskState.READY, TaskState.RUNNING, TaskState.SHUTDOWN])),
        ports=draw(st.sampled_from([[], PORTS])),
    )


machines = st.builds(node, st.sampled_from(["n1", "n2", "n3"]), cpus=st.integers(0, 4))
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(tasks(), machines, st.sampled_from("abcdef"), st.sampled_from(["n1"]))
)


def _event(seen: MemoryView, step: Step) -> Event | None:
    if isinstance(step, str):
        gone = seen.node(step) or seen.task(step)
        return Event(kind_of(gone).name, "remove", gone, None) if gone else None
    kind = kind_of(step).name
    old = seen.get(kind, step.id)
    return Event(kind, "update" if old else "create", old, step)


def _said(ledger: ClusterLedger) -> tuple[object, ...]:
    """Everything that the ledger knows, as values."""
    nodes = {
        node_id: (
            info.node,
            info.tasks,
            info.total,
            info.by_service,
            info.free_cpus,
            info.free_memory,
            info.host_ports,
        )
        for node_id, info in ledger.infos.items()
    }
    order = [(info.id, info.index) for info in ledger.nodes()]
    failures = {
        group: ledger.nodes_to_avoid(group, at(0)) for group in [("web", 1, ""), ("web", 2, "")]
    }
    return nodes, ledger.waiting, order, failures


@given(steps=steps)
@settings(max_examples=200, deadline=None)
def test_a_ledger_that_followed_every_event_is_one_counted_afresh(steps: list[Step]) -> None:
    seen = view(WEB)
    scheduler = Scheduler()
    keys = frozenset(scheduler.everything(seen))
    ledger = ClusterLedger.of(seen)
    for revision, step in enumerate(steps, start=2):
        event = _event(seen, step)
        if event is None:
            continue
        seen.apply(revision, [event])
        ledger.note(event)
        scheduler.dirty(event, seen)
        assert _said(ledger) == _said(ClusterLedger.of(seen))
        kept = scheduler.plan(seen, NOTHING_SEEN, keys, at(0), ids())
        assert kept == Scheduler().plan(seen, NOTHING_SEEN, keys, at(0), ids())


def test_what_a_plan_tries_is_taken_back() -> None:
    seen = view(WEB, node(), [task(i, WEB, on="", state=TaskState.PENDING) for i in "abc"])
    scheduler = Scheduler()
    keys = frozenset(scheduler.everything(seen))
    first = scheduler.plan(seen, NOTHING_SEEN, keys, at(0), ids())
    assert len(first.changes) == 3
    assert scheduler.plan(seen, NOTHING_SEEN, keys, at(0), ids()) == first


def test_a_plan_on_a_view_that_the_room_did_not_follow_is_right_all_the_same() -> None:
    waiting = task("a", WEB, on="", state=TaskState.PENDING)
    scheduler = Scheduler()
    keys = frozenset(scheduler.everything(view(WEB)))
    plan = scheduler.plan(view(WEB, node(), waiting), NOTHING_SEEN, keys, at(0), ids())
    placed = replace(
        waiting,
        node_id="n1",
        status=TaskStatus(
            timestamp=at(0), state=TaskState.ASSIGNED, message="scheduler assigned task to node"
        ),
    )
    assert written(plan, Task) == [placed]
