"""New tasks pass through the rooms before they are stored: one commit, not one for each room."""

from __future__ import annotations

from datetime import datetime

import pytest
from msgspec.structs import replace

from skep.kit.errors import InvalidArgument, OutOfSequence
from skep.manager.agenda import Agendas, Turn, joined
from skep.manager.allocator import Allocator
from skep.manager.orchestrator import Orchestrator
from skep.manager.room import Plan, Room
from skep.manager.scheduler import Scheduler
from skep.manager.scheduler.ledger import ClusterLedger
from skep.model.base import Version
from skep.model.network import IPAM, IPAMConfig, Network, NetworkSpec
from skep.model.service import NetworkAttachmentConfig, Service
from skep.model.states import TaskState
from skep.model.task import Task
from skep.store.change import Change, Create, Update, View
from skep.store.memory import MemoryView
from skep.store.staging import Staged
from skep.testing import builders as b


def begun(view: View, scheduler: Room | None = None) -> Agendas:
    agendas = Agendas([Orchestrator(), Allocator(), scheduler or Scheduler()], b.ids())
    agendas.look_at_all(view)
    return agendas


def next_turn(agendas: Agendas, view: View) -> Turn:
    """Also where a round ends before."""
    turn = agendas.next_turn(view, b.at(0)) or agendas.next_turn(view, b.at(0))
    assert turn is not None
    return turn


def born(turn: Turn) -> list[Task]:
    return [
        change.new
        for change in turn.plan.changes
        if isinstance(change, Create) and isinstance(change.new, Task)
    ]


def committed(agendas: Agendas, turn: Turn, view: MemoryView) -> None:
    commit = Staged(view, b.at(0)).check(turn.plan.changes)
    view.apply(commit.revision, commit.events)
    agendas.settle(turn, None, b.at(0))
    agendas.follow(commit, view)


NET = Network(
    id="net",
    version=Version(1),
    spec=NetworkSpec(name="net", driver="overlay"),
    vni=4097,
    ipam=IPAM(config=[IPAMConfig(subnet="10.0.1.0/24", gateway="10.0.1.1")]),
)


def on_net(replicas: int) -> Service:
    service = b.service(replicas)
    template = replace(
        service.spec.task_template, networks=[NetworkAttachmentConfig(target=NET.id)]
    )
    return replace(service, spec=replace(service.spec, task_template=template))


def next_changes(agendas: Agendas, view: View) -> list[Change]:
    """Of all turns until the round is over."""
    changes: list[Change] = []
    while (turn := agendas.next_turn(view, b.at(0))) is not None:
        changes += turn.plan.changes
        agendas.settle(turn, None, b.at(0))
    return changes


def test_new_tasks_are_born_with_their_addresses_and_their_node() -> None:
    view = b.view(b.cluster(), b.nodes(2), NET, on_net(3))
    agendas = begun(view)
    turn = next_turn(agendas, view)
    tasks = born(turn)
    assert [task.status.state for task in tasks] == [TaskState.ASSIGNED] * 3
    assert sorted(task.node_id for task in tasks) == ["n1", "n1", "n2"]
    addresses = {task.networks_attachments[0].addresses[0] for task in tasks}
    assert len(addresses) == 3
    committed(agendas, turn, view)
    assert next_changes(agendas, view) == []


def test_what_finds_no_node_is_born_with_the_reason() -> None:
    view = b.view(b.cluster(), b.node(availability="drain"), b.service(2))
    agendas = begun(view)
    turn = next_turn(agendas, view)
    assert {(task.status.state, task.status.err) for task in born(turn)} == {
        (TaskState.PENDING, "no suitable node (1 node not available for new tasks)")
    }
    committed(agendas, turn, view)
    assert next_changes(agendas, view) == []


def test_a_refused_plan_leaves_no_trace_in_the_rooms_that_come_next() -> None:
    view = b.view(b.cluster(), b.nodes(2), NET, on_net(3))
    agendas = begun(view)
    first = next_turn(agendas, view)
    agendas.settle(first, OutOfSequence(), b.at(0))
    again = next_turn(agendas, view)
    while not born(again):
        agendas.settle(again, None, b.at(0))
        again = next_turn(agendas, view)
    assert [_placed(task) for task in born(again)] == [_placed(task) for task in born(first)]


def _placed(task: Task) -> tuple[int, str, list[str]]:
    return task.slot, task.node_id, task.networks_attachments[0].addresses


class Stumbling(Scheduler):
    def decide(self, ledger: ClusterLedger, view: View, now: datetime) -> tuple[Plan, bool]:
        raise ValueError("cannot")


def test_a_room_that_stumbles_holds_up_no_birth() -> None:
    view = b.view(b.cluster(), b.nodes(2), b.service(2))
    states = {task.status.state for task in born(next_turn(begun(view, Stumbling()), view))}
    assert states == {TaskState.PENDING}


@pytest.mark.logs_errors("cannot plan")
def test_what_cannot_be_stored_together_is_stored_one_after_the_other() -> None:
    view = b.view(b.cluster(), b.nodes(2), b.service(2))
    agendas = begun(view)
    agendas.settle(next_turn(agendas, view), InvalidArgument("too large"), b.at(0))
    next_changes(agendas, view)
    turn = agendas.next_turn(view, b.at(2))
    assert turn is not None
    assert [task.status.state for task in born(turn)] == [TaskState.NEW] * 2


def test_the_plan_goes_alone_where_both_change_the_same_object() -> None:
    task, service = b.task("t1", b.service()), b.service()
    plan = Plan((Update(service), Create(task)))
    assert joined(plan, Plan((Update(service), Update(task)))) == plan
    moved = replace(task, node_id="n2")
    assert joined(plan, Plan((Update(moved),))).changes == (Update(service), Create(moved))
