"""Whose turn it is, and what becomes of a plan: without a store, without time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import pytest

from skep.kit.errors import InvalidArgument, OutOfSequence, SkepError, Unavailable
from skep.manager.agenda import Agendas, Turn
from skep.manager.room import NewId, Plan
from skep.store.change import Commit, Event, View
from skep.testing import builders as b

VIEW = b.view(b.service(name="a"), b.service(name="b"), b.service(name="c"))


class Planner:
    """A room whose plans and faults a test gives."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bad: set[str] = set()
        self.wake: dict[str, datetime] = {}

    def dirty(self, event: Event, view: View) -> Iterable[str]:
        if event.new is None:
            raise KeyError("nothing there")
        return (event.new.id,)

    def everything(self, view: View) -> Iterable[str]:
        return [service.id for service in view.services()]

    def plan(self, view: View, keys: frozenset[str], now: datetime, new_id: NewId) -> Plan:
        if self.bad & keys:
            raise ValueError("cannot")
        return Plan(wake=self.wake)


def turns(agendas: Agendas, at: float = 0.0, refusal: SkepError | None = None) -> list[str]:
    """One round: "room: keys" of each turn."""
    seen = []
    while (turn := agendas.next_turn(VIEW, b.at(at))) is not None:
        seen.append(said(turn))
        agendas.settle(turn, refusal, b.at(at))
    return seen


def said(turn: Turn) -> str:
    return f"{turn.agenda.room.name}: {' '.join(sorted(turn.keys))}"


def begun(*rooms: Planner) -> Agendas:
    agendas = Agendas(rooms, b.ids())
    agendas.look_at_all(VIEW)
    return agendas


def test_rooms_have_their_turns_in_order_and_a_round_ends() -> None:
    agendas = begun(Planner("one"), Planner("two"))
    assert turns(agendas) == ["one: a b c", "two: a b c"]
    assert turns(agendas) == []
    assert agendas.dirty == []


def test_what_a_commit_concerns_is_planned_next() -> None:
    agendas = begun(Planner("one"))
    turns(agendas)
    agendas.follow(Commit(2, (Event("service", "create", None, b.service(name="b")),)), VIEW)
    assert agendas.dirty == ["one"]
    assert turns(agendas) == ["one: b"]


@pytest.mark.logs_errors("cannot follow a commit")
def test_a_room_that_cannot_follow_looks_at_all() -> None:
    agendas = begun(Planner("one"))
    turns(agendas)
    agendas.follow(Commit(2, (Event("service", "remove", b.service(name="b"), None),)), VIEW)
    assert turns(agendas) == ["one: a b c"]


def test_a_plan_that_came_too_late_is_made_again_in_the_next_round() -> None:
    agendas = begun(Planner("one"))
    assert turns(agendas, refusal=OutOfSequence()) == ["one: a b c"]
    assert turns(agendas) == ["one: a b c"]
    assert turns(agendas) == []


def test_when_nothing_can_be_written_it_is_tried_again_in_a_while() -> None:
    agendas = begun(Planner("one"))
    turns(agendas, refusal=Unavailable("full"))
    assert agendas.next_wake == b.at(1)
    assert turns(agendas, at=0.9) == []
    assert turns(agendas, at=1.0) == ["one: a b c"]


@pytest.mark.logs_errors("cannot plan")
def test_what_is_refused_altogether_is_planned_key_by_key() -> None:
    agendas = begun(Planner("one"))
    first = agendas.next_turn(VIEW, b.at(0))
    assert first is not None
    agendas.settle(first, InvalidArgument("beyond 64 bits"), b.at(0))
    second = agendas.next_turn(VIEW, b.at(0))
    assert second is not None
    assert said(second) == "one: a"
    agendas.settle(second, InvalidArgument("beyond 64 bits"), b.at(0))
    assert turns(agendas) == ["one: b", "one: c"]
    assert agendas.troubled == ["one"]
    assert turns(agendas, at=1.0) == ["one: a"]
    assert agendas.troubled == []


@pytest.mark.logs_errors("cannot plan")
def test_a_bad_key_is_set_aside_and_tried_ever_more_seldom() -> None:
    room = Planner("one")
    agendas = begun(room)
    room.bad = {"b"}
    assert turns(agendas) == ["one: a", "one: c"]
    assert turns(agendas, at=1.0) == []
    assert agendas.next_wake == b.at(3)
    room.bad.clear()
    assert turns(agendas, at=3.0) == ["one: b"]


def test_a_key_is_planned_again_at_its_time() -> None:
    room = Planner("one")
    room.wake = {"a": b.at(5), "b": b.at(4)}
    agendas = begun(room)
    turns(agendas)
    assert agendas.next_wake == b.at(4)
    room.wake = {}
    assert turns(agendas, at=6.0) == ["one: a b"]
    assert agendas.next_wake is None
