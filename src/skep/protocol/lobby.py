"""Who may wait at the managers' door, and whose turn it is: pure.

A caller costs us from its first packet on, before it proved anything. So those without proof have
a number that they cannot exceed, in two rooms: many may wait (a waiting caller costs a descriptor),
few are heard at once (TLS costs memory and time). When there is no room, somebody goes: never a
member, which has left the lobby, and never just the newcomer, because then whoever fills the lobby
first has shut the door. It is first who said nothing yet, and of several the one whose address
has the most callers here. An honest caller speaks at once, and comes alone or waits its turn.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Generic, Protocol, TypeVar


class Guest(Protocol):
    @property
    def address(self) -> str: ...


_G = TypeVar("_G", bound=Guest)

_LOOK_AT = 32
"""How many are compared when one must be chosen: a flood must not make choosing dear."""


class Lobby(Generic[_G]):
    """`seats` may wait, `heard_at_once` are heard. Each guest is in one of the three sets, whose
    order is the order of arrival there."""

    def __init__(self, seats: int, heard_at_once: int) -> None:
        self._seats = seats
        self._heard_at_once = heard_at_once
        self.silent: dict[_G, None] = {}
        self.waiting: dict[_G, None] = {}
        self.heard: dict[_G, None] = {}
        self._seated: Counter[str] = Counter()
        self._hearing: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self.silent) + len(self.waiting) + len(self.heard)

    def admit(self, guest: _G) -> _G | None:
        """A newcomer, silent as yet. Returns who must go for it."""
        full = len(self.silent) + len(self.waiting) >= self._seats
        gone = self.least_promising() if full else None
        self.silent[guest] = None
        self._seated[guest.address] += 1
        return gone

    def least_promising(self) -> _G | None:
        """Who must go when somebody must, already gone from here; None when nobody waits."""
        oldest = list(islice(self.silent, _LOOK_AT))
        newest = list(islice(reversed(self.waiting), _LOOK_AT))
        candidates = oldest or newest
        if not candidates:
            return None
        gone = max(candidates, key=lambda guest: self._seated[guest.address])
        self.leave(gone)
        return gone

    def spoke(self, guest: _G) -> None:
        """Its first bytes are here: it waits for its turn."""
        if guest in self.silent:
            del self.silent[guest]
            self.waiting[guest] = None

    def turn(self) -> tuple[_G | None, _G | None]:
        """Who is heard next, if anybody, and who is to be heard no longer for it."""
        if not self.waiting:
            return None, None
        first = min(islice(self.waiting, _LOOK_AT), key=lambda guest: self._hearing[guest.address])
        gone = None
        if len(self.heard) >= self._heard_at_once:
            gone = self._with_more_than_its_share(self._hearing[first.address])
            if gone is None:
                return None, None
            self.leave(gone)
        self.leave(first)
        self.heard[first] = None
        self._hearing[first.address] += 1
        return first, gone

    def leave(self, guest: _G) -> None:
        """It proved who it is, or went away. Idempotent."""
        if guest in self.heard:
            del self.heard[guest]
            _subtract(self._hearing, guest.address)
        elif guest in self.silent or guest in self.waiting:
            self.silent.pop(guest, None)
            self.waiting.pop(guest, None)
            _subtract(self._seated, guest.address)

    def _with_more_than_its_share(self, others: int) -> _G | None:
        """The longest heard of the address of which the most are, if that is unfair to one of
        which `others` are."""
        address, most = self._hearing.most_common(1)[0]
        if most <= others + 1:
            return None
        return next(guest for guest in self.heard if guest.address == address)


def _subtract(counter: Counter[str], address: str) -> None:
    counter[address] -= 1
    if not counter[address]:
        del counter[address]
