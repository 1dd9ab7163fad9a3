"""Who may wait at the managers' door, and whose turn it is: pure.

A caller costs us from its first packet on, before it proved anything. So those without proof have
a number that they cannot exceed, in two rooms: many may wait (a waiting caller costs a descriptor),
few are heard at once (TLS costs memory and time). When there is no room, somebody goes: never a
member, which has left the lobby, and never just the newcomer, because then whoever fills the lobby
first has shut the door. It is one of the address that has the most callers here: one that said
nothing yet, or else the newest. An honest caller speaks at once, and comes alone or waits its turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar


class Guest(Protocol):
    @property
    def address(self) -> str: ...


_G = TypeVar("_G", bound=Guest)

_LOOK_AT = 64
"""How many are compared when one must be chosen: a flood must not make choosing dear."""


class Lobby(Generic[_G]):
    """`seats` may wait, `heard_at_once` are heard. Each guest is in one of three places: silent (in
    the order of arrival), waiting (by address, in the order of arrival), or heard."""

    def __init__(self, seats: int, heard_at_once: int) -> None:
        self._seats = seats
        self._heard_at_once = heard_at_once
        self._silent: dict[_G, None] = {}
        self._waiting: dict[str, dict[_G, None]] = {}
        self._heard: dict[_G, None] = {}
        self._taken = 0
        self._seated: Counter[str] = Counter()
        self._hearing: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._taken + len(self._heard)

    @property
    def silent(self) -> Iterator[_G]:
        return iter(self._silent)

    @property
    def waiting(self) -> Iterator[_G]:
        return (guest for guests in self._waiting.values() for guest in guests)

    @property
    def heard(self) -> Iterator[_G]:
        return iter(self._heard)

    def admit(self, guest: _G) -> _G | None:
        """A newcomer, silent as yet. Returns who must go for it."""
        gone = self.least_promising() if self._taken >= self._seats else None
        self._silent[guest] = None
        self._seated[guest.address] += 1
        self._taken += 1
        return gone

    def least_promising(self) -> _G | None:
        """Who must go when somebody must, already gone from here; None when nobody waits."""
        found = (self._longest_silent(), self._newest_of_many())
        choice = [guest for guest in found if guest is not None]
        gone = max(choice, key=lambda guest: self._seated[guest.address], default=None)
        if gone is not None:
            self.leave(gone)
        return gone

    def spoke(self, guest: _G) -> None:
        """Its first bytes are here: it waits for its turn."""
        if guest in self._silent:
            del self._silent[guest]
            self._waiting.setdefault(guest.address, {})[guest] = None

    def turn(self) -> tuple[_G | None, _G | None]:
        """Who is heard next, if anybody, and who is to be heard no longer for it."""
        if not self._waiting:
            return None, None
        address = min(islice(self._waiting, _LOOK_AT), key=lambda each: self._hearing[each])
        gone = None
        if len(self._heard) >= self._heard_at_once:
            gone = self._with_more_than_its_share(self._hearing[address])
            if gone is None:
                return None, None
            self.leave(gone)
        first = next(iter(self._waiting[address]))
        self.leave(first)
        if others := self._waiting.pop(address, None):
            self._waiting[address] = others  # now it is the turn of other addresses
        self._heard[first] = None
        self._hearing[address] += 1
        return first, gone

    def leave(self, guest: _G) -> None:
        """It proved who it is, or went away. Idempotent."""
        address = guest.address
        if guest in self._heard:
            del self._heard[guest]
            _subtract(self._hearing, address)
        elif guest in self._silent:
            del self._silent[guest]
            self._free_seat(address)
        elif guest in self._waiting.get(address, ()):
            del self._waiting[address][guest]
            if not self._waiting[address]:
                del self._waiting[address]
            self._free_seat(address)

    def _free_seat(self, address: str) -> None:
        self._taken -= 1
        _subtract(self._seated, address)

    def _longest_silent(self) -> _G | None:
        """Of those that are silent for longest, one whose address has the most here."""
        oldest = islice(self._silent, _LOOK_AT)
        return max(oldest, key=lambda guest: self._seated[guest.address], default=None)

    def _newest_of_many(self) -> _G | None:
        """The newest of the address of which the most wait: those before it are served sooner."""
        some = islice(self._waiting, _LOOK_AT)
        many = max(some, key=lambda address: self._seated[address], default=None)
        return next(reversed(self._waiting[many])) if many is not None else None

    def _with_more_than_its_share(self, others: int) -> _G | None:
        """The longest heard of the address of which the most are, if that is unfair to one of
        which `others` are."""
        address, most = self._hearing.most_common(1)[0]
        if most <= others + 1:
            return None
        return next(guest for guest in self._heard if guest.address == address)


def _subtract(counter: Counter[str], address: str) -> None:
    counter[address] -= 1
    if not counter[address]:
        del counter[address]
