"""Who may wait at the managers' door, and whose turn it is."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from skep.protocol.pending import Lobby


class Guest:
    def __init__(self, address: str, name: int = 0) -> None:
        self.address = address
        self.name = name

    def __repr__(self) -> str:
        return f"{self.address}#{self.name}"


def guests(address: str, count: int) -> list[Guest]:
    return [Guest(address, name) for name in range(count)]


def arrive(lobby: Lobby[Guest], *arriving: Guest, speaking: bool = False) -> list[Guest]:
    """Those who had to go for them."""
    gone = []
    for guest in arriving:
        gone.append(lobby.admit(guest))
        if speaking:
            lobby.spoke(guest)
    return [guest for guest in gone if guest is not None]


def test_who_said_nothing_goes_first_and_the_longest_there() -> None:
    lobby: Lobby[Guest] = Lobby(seats=3, heard_at_once=1)
    first, second, third, fourth = guests("a", 4)
    assert arrive(lobby, first, second, third) == []
    lobby.spoke(first)
    assert arrive(lobby, fourth) == [second]


def test_an_address_with_many_callers_makes_room_for_one_with_few() -> None:
    lobby: Lobby[Guest] = Lobby(seats=10, heard_at_once=1)
    honest = Guest("honest")
    flood = guests("flood", 9)
    arrive(lobby, honest, *flood)
    assert arrive(lobby, Guest("other")) == [flood[0]]
    assert honest in list(lobby.silent)


def test_the_newest_of_those_who_spoke_goes_when_all_have() -> None:
    """The oldest are served soonest: what they waited for is not thrown away."""
    lobby: Lobby[Guest] = Lobby(seats=3, heard_at_once=1)
    waiting = guests("a", 3)
    arrive(lobby, *waiting, speaking=True)
    assert arrive(lobby, Guest("b")) == [waiting[2]]


def test_one_who_comes_alone_may_be_silent_for_a_moment_among_many_who_spoke() -> None:
    """Between its first packet and its first word a slow machine lets time pass."""
    lobby: Lobby[Guest] = Lobby(seats=5, heard_at_once=1)
    honest, flood = Guest("honest"), guests("flood", 4)
    arrive(lobby, *flood, speaking=True)
    arrive(lobby, honest)
    assert arrive(lobby, Guest("flood")) == [flood[3]]
    assert next(lobby.silent) is honest


def test_callers_are_heard_in_order_as_far_as_there_is_room() -> None:
    lobby: Lobby[Guest] = Lobby(seats=10, heard_at_once=2)
    first, second, third = guests("a", 3)
    arrive(lobby, first, second, third, speaking=True)
    assert [lobby.turn(), lobby.turn(), lobby.turn()] == [
        (first, None),
        (second, None),
        (None, None),
    ]
    lobby.leave(first)
    assert lobby.turn() == (third, None)


def test_an_address_of_which_none_is_heard_comes_before_one_of_which_some_are() -> None:
    lobby: Lobby[Guest] = Lobby(seats=10, heard_at_once=2)
    many, honest = guests("many", 3), Guest("honest")
    arrive(lobby, *many, honest, speaking=True)
    assert lobby.turn() == (many[0], None)
    assert lobby.turn() == (honest, None)


def test_an_address_that_holds_more_than_its_share_gives_way() -> None:
    """Handshakes that never end cannot shut the door to other addresses, nor can newcomers end
    the handshakes of a place from which as many come."""
    lobby: Lobby[Guest] = Lobby(seats=10, heard_at_once=3)
    many = guests("many", 4)
    arrive(lobby, *many, speaking=True)
    assert [lobby.turn()[0] for _ in range(4)] == [*many[:3], None]
    honest = Guest("honest")
    arrive(lobby, honest, speaking=True)
    assert lobby.turn() == (honest, many[0])
    assert lobby.turn() == (None, None)


def test_who_left_is_forgotten_wherever_it_was() -> None:
    lobby: Lobby[Guest] = Lobby(seats=3, heard_at_once=1)
    silent, waiting, heard = (Guest("a", n) for n in range(3))
    arrive(lobby, heard, waiting, speaking=True)
    arrive(lobby, silent)
    assert lobby.turn() == (heard, None)
    for guest in (silent, waiting, heard, heard):
        lobby.leave(guest)
    assert len(lobby) == 0
    assert lobby.turn() == (None, None)


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens, the lobby is bounded, and nobody is in two of its sets."""

    def __init__(self) -> None:
        super().__init__()
        self.lobby: Lobby[Guest] = Lobby(seats=5, heard_at_once=3)
        self.present: list[Guest] = []

    @rule(address=st.sampled_from("abc"), speaks=st.booleans())
    def somebody_calls(self, address: str, speaks: bool) -> None:
        guest = Guest(address)
        self.present.append(guest)
        for gone in arrive(self.lobby, guest, speaking=speaks):
            self.present.remove(gone)

    @rule()
    def somebody_is_heard(self) -> None:
        _, gone = self.lobby.turn()
        if gone is not None:
            self.present.remove(gone)

    @rule(which=st.integers(0, 10))
    def somebody_leaves(self, which: int) -> None:
        if which < len(self.present):
            self.lobby.leave(self.present.pop(which))

    @invariant()
    def it_is_bounded_and_consistent(self) -> None:
        rooms = [*self.lobby.silent, *self.lobby.waiting, *self.lobby.heard]
        assert set(rooms) == set(self.present)
        assert len(rooms) == len(self.present) == len(self.lobby)
        heard = list(self.lobby.heard)
        assert len(heard) <= 3
        assert len(rooms) - len(heard) <= 5


TestAnyHistory = AnyHistory.TestCase
