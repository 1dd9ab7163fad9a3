"""What the deciding rooms have to look at, whose turn it is, and what becomes of a plan.

This is the loop without its store and its time: it waits for nothing and reads no clock, so that
the manager (`loop.py`) and the simulator drive the very same thing. A driver takes the next turn,
commits its plan, and says what came of it:

    while (turn := agendas.next_turn(view, now)) is not None:
        refusal = ...commit turn.plan.changes...
        agendas.settle(turn, refusal, now)
"""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from msgspec.structs import replace

from skep.kit.errors import Conflict, OutOfSequence, SkepError, Unavailable
from skep.manager import slices
from skep.manager.faults import Troubles
from skep.manager.observations import NOTHING_SEEN, Seen
from skep.manager.room import NewId, Plan, Room, Successor
from skep.model.task import Task
from skep.store.change import Change, Commit, Create, Update, View

log = logging.getLogger(__name__)

_RETRY = timedelta(seconds=1)
_WHAT_IS_LEFT = frozenset[str]()
"""In the place of keys that are to be planned: go on with what was planned before."""
_KEYS_AT_ONCE = 500


class Agenda:
    """What one room has to look at: dirty keys, and keys that become dirty at a time."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.dirty: set[str] = set()
        self.troubles = Troubles(room.name)
        self.rests: dict[str, Iterator[Change]] = {}
        """By key what is left of plans that were too large for one commit."""
        self._wake_at: dict[str, datetime] = {}
        self._queue: list[tuple[datetime, str]] = []

    def look_at_all(self, view: View) -> None:
        self.dirty.update(self.room.everything(view))

    def follow(self, commit: Commit, view: View) -> None:
        """Note what the commit concerns."""
        concerned = self.room.dirty
        try:
            for event in commit.events:
                if keys := concerned(event, view):
                    self.dirty.update(keys)
        except Exception:
            log.exception("%s cannot follow a commit: it looks at all anew", self.room.name)
            self.look_at_all(view)

    def take(self, now: datetime) -> frozenset[str]:
        """Keys that are due. They are forgotten here: the caller promises to plan them.

        Where very many are, some of them: after those, other rooms have their turn.
        """
        while self._queue and self._queue[0][0] <= now:
            moment, key = heapq.heappop(self._queue)
            if self._wake_at.get(key) == moment:
                del self._wake_at[key]
                self.dirty.add(key)
        keys = frozenset(islice(self.dirty, _KEYS_AT_ONCE))
        self.dirty -= keys
        for key in keys:
            self._wake_at.pop(key, None)
        self.drop(keys)
        return keys

    def has_trouble_with(self, keys: Iterable[str]) -> bool:
        return bool(self.troubles) and any(key in self.troubles for key in keys)

    def drop(self, keys: Iterable[str]) -> None:
        """What is left of these keys' plans will not be: they are looked at again."""
        for key in keys:
            self.rests.pop(key, None)

    def go_on(self) -> Plan:
        """The next changes of what is left. Keys take turns: to place many tasks of one service
        costs less than a few of each."""
        changes: list[Change] = []
        while self.rests and (left := slices.A_PLAN - len(changes)):
            key = next(iter(self.rests))
            rest = self.rests.pop(key)
            if some := list(islice(rest, left)):
                changes += some
                self.rests[key] = rest
        return Plan(tuple(changes))

    def wake(self, moments: Mapping[str, datetime]) -> None:
        """Remember when to look again. The newest word on a key is the one that counts."""
        for key, moment in moments.items():
            self._wake_at[key] = moment
            heapq.heappush(self._queue, (moment, key))

    @property
    def next_wake(self) -> datetime | None:
        while self._queue and self._wake_at.get(self._queue[0][1]) != self._queue[0][0]:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None


class Turn(NamedTuple):
    """What a room decided about some of its keys, to be committed whole. `goes_on` where the plan
    is the next slice of what was decided before."""

    agenda: Agenda
    keys: frozenset[str]
    plan: Plan
    goes_on: bool = False


class Agendas:
    """All rooms' agendas. Rooms are planned in the order given, each to its own commit, so that
    what one decides is there for the next in the same round. Only new tasks go from room to room
    (`Successor`) before they are committed: there are many of them."""

    def __init__(self, rooms: Sequence[Room], ids: NewId, seen: Seen = NOTHING_SEEN) -> None:
        self._agendas = [Agenda(room) for room in rooms]
        self._ids = ids
        self._seen = seen
        self._round = iter(self._agendas)
        self._planning: deque[tuple[Agenda, frozenset[str]]] = deque()

    def look_at_all(self, view: View) -> None:
        """What to do at the start, and whenever commits were missed."""
        for agenda in self._agendas:
            agenda.look_at_all(view)

    def follow(self, commit: Commit, view: View) -> None:
        for agenda in self._agendas:
            agenda.follow(commit, view)

    @property
    def dirty(self) -> list[str]:
        """The names of the rooms that have something to plan, or to go on with."""
        return [agenda.room.name for agenda in self._agendas if agenda.dirty or agenda.rests]

    @property
    def troubled(self) -> list[str]:
        """The names of the rooms that cannot plan something."""
        return [agenda.room.name for agenda in self._agendas if agenda.troubles]

    @property
    def next_wake(self) -> datetime | None:
        """When a key's time comes, if nothing changes before."""
        wakes = [agenda.next_wake for agenda in self._agendas]
        return min((moment for moment in wakes if moment is not None), default=None)

    def next_turn(self, view: View, now: datetime) -> Turn | None:
        """The next plan of this round; None when the round is over, and the next call begins a new
        one. What cannot be planned is set aside."""
        while self._planning or self._take_next(now):
            agenda, keys = self._planning.popleft()
            goes_on = keys is _WHAT_IS_LEFT
            keys = frozenset(agenda.rests) if goes_on else keys
            try:
                plan = (
                    agenda.go_on()
                    if goes_on
                    else agenda.room.plan(view, self._seen, keys, now, self._ids)
                )
            except Exception as error:
                self._isolate(agenda, keys, error, now)
            else:
                if not agenda.has_trouble_with(keys):
                    plan = self._with_successors(agenda, plan, view, now)
                return Turn(agenda, keys, plan, goes_on)
        return None

    def settle(self, turn: Turn, refusal: SkepError | None, now: datetime) -> None:
        """What came of the commit of the turn's plan: done, or refused."""
        agenda, keys, plan = turn.agenda, turn.keys, turn.plan
        if refusal is not None:
            agenda.drop(keys)
        match refusal:
            case None if turn.goes_on:
                pass
            case None:
                agenda.rests.update(plan.rest)
                retry = agenda.troubles.planned(keys, plan.faults)
                agenda.wake(plan.wake if retry is None else keys_at(keys, now + retry))
            case OutOfSequence() | Conflict():
                agenda.dirty |= keys
            case Unavailable():
                log.error("%s could not commit, trying again: %s", agenda.room.name, refusal)
                agenda.wake(keys_at(keys, now + _RETRY))
            case _:
                self._isolate(agenda, keys, refusal, now)

    def _with_successors(self, agenda: Agenda, plan: Plan, view: View, now: datetime) -> Plan:
        """The plan, and what the rooms that come next make of its new tasks. Where one stumbles, or
        makes what cannot be stored, its own turn tells of it."""
        for later in self._agendas[self._agendas.index(agenda) + 1 :]:
            if isinstance(later.room, Successor) and (born := tasks_born(plan)):
                try:
                    sequel = later.room.plan_born(view, born, now)
                except Exception as error:
                    log.debug("%s: new tasks cannot be planned yet: %s", later.room.name, error)
                else:
                    plan = joined(plan, sequel)
        return plan

    def _take_next(self, now: datetime) -> bool:
        """Take the keys of the next room that has any. Those that made trouble before are planned
        each by itself; then goes on what was planned before."""
        for agenda in self._round:
            keys = agenda.take(now)
            troubled = frozenset(key for key in keys if key in agenda.troubles)
            if keys - troubled:
                self._planning.append((agenda, keys - troubled))
            self._planning.extend(_each(agenda, troubled))
            if agenda.rests:
                self._planning.append((agenda, _WHAT_IS_LEFT))
            if self._planning:
                return True
        self._round = iter(self._agendas)
        return False

    def _isolate(
        self, agenda: Agenda, keys: frozenset[str], error: Exception, now: datetime
    ) -> None:
        """A key that cannot be planned must not hold up the others: plan each by itself."""
        agenda.drop(keys)
        if len(keys) > 1:
            self._planning.extendleft(reversed(_each(agenda, keys)))
            return
        for key in keys:
            agenda.wake({key: now + agenda.troubles.note(key, error)})


def keys_at(keys: Iterable[str], moment: datetime) -> dict[str, datetime]:
    """Every key, to be looked at again at `moment`."""
    return dict.fromkeys(keys, moment)


def tasks_born(plan: Plan) -> list[Task]:
    return [
        change.new
        for change in plan.changes
        if isinstance(change, Create) and isinstance(change.new, Task)
    ]


def joined(plan: Plan, sequel: Plan) -> Plan:
    """Both as one, in which what is born is born as the sequel leaves it. The plan alone where both
    change the same object otherwise, and where the sequel is not whole."""
    later = {change.new.id: change for change in sequel.changes if isinstance(change, Update)}
    changes: list[Change] = []
    for change in plan.changes:
        if isinstance(change, Create) and change.new.id in later:
            changes.append(Create(later.pop(change.new.id).new, change.why))
        else:
            changes.append(change)
    if sequel.faults or any(isinstance(c, Update) and c.new.id in later for c in plan.changes):
        return plan
    explanations = plan.explanations + sequel.explanations
    return replace(plan, changes=(*changes, *later.values()), explanations=explanations)


def _each(agenda: Agenda, keys: Iterable[str]) -> list[tuple[Agenda, frozenset[str]]]:
    return [(agenda, frozenset({key})) for key in sorted(keys)]
