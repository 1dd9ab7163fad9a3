"""Replicated services: slots 1 to N, the lowest free number first.

Swarm's order of scaling down (swarmkit manager/orchestrator/replicated): slots go first from the
nodes that hold most of the service, those that do not run before those that do, then the highest
number. Unlike Swarm, what is remembered of a slot that is no more is forgotten with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from skep.manager.orchestrator.draft import Draft
from skep.manager.orchestrator.restart import at_rest
from skep.manager.orchestrator.slots import REMOVE, Slot, SlotKey, running
from skep.model import defaults
from skep.model.service import MOST_REPLICAS, Service


def resize(slots: Mapping[SlotKey, Slot], draft: Draft) -> tuple[list[Slot], list[Slot]]:
    """Make it as many slots as are wanted.

    Returns those that stay, by number, and those that are new, with their first task.
    """
    replicas = _replicas(draft)
    filled = [slot for slot in slots.values() if slot.holders or at_rest(slot)]
    kept = _kept(filled, replicas)
    keys = {slot.key for slot in kept}
    missing = replicas - len(kept)
    vacant = _lowest_free(keys, draft.room_for(missing))
    cause = _why_more(draft.scene.service, bool(slots))
    new = [_filled(slots.get(key) or Slot(key, [], []), cause, draft) for key in vacant]
    keys.update(vacant)
    if missing <= len(vacant):
        _remove((slot for slot in slots.values() if slot.key not in keys), replicas, draft)
    return kept, new


def _replicas(draft: Draft) -> int:
    """What an older skep took beyond the bound is no reason to go down with it."""
    wanted = defaults.replicas(draft.scene.service)
    if wanted > MOST_REPLICAS:
        name = draft.scene.service.spec.name
        draft.remarks.append(
            f"service {name}: {wanted} replicas are too many: it gets {MOST_REPLICAS}"
        )
    return min(wanted, MOST_REPLICAS)


def _why_more(service: Service, had_slots: bool) -> str:
    if had_slots or service.previous_spec is not None:
        return f"scaled up to {defaults.replicas(service)}"
    return "the service was created"


def _kept(filled: list[Slot], replicas: int) -> list[Slot]:
    if len(filled) > replicas:
        filled = _by_worth(filled)[:replicas]
    return sorted(filled, key=_number)


def _by_worth(slots: list[Slot]) -> list[Slot]:
    """Those to keep first: each node's first task of the service, then each one's second…"""
    slots = sorted(slots, key=lambda slot: (not any(map(running, slot.holders)), _number(slot)))
    copies: Counter[str] = Counter()
    worth: dict[SlotKey, int] = {}
    for slot in slots:
        node_id = slot.holders[0].node_id if len(slot.holders) == 1 else ""
        copies[node_id] += 1
        worth[slot.key] = copies[node_id] if node_id else len(slots)
    return sorted(slots, key=lambda slot: worth[slot.key])


def _lowest_free(taken: set[SlotKey], count: int) -> list[int]:
    free: list[int] = []
    number = 0
    while len(free) < count:
        number += 1
        if number not in taken:
            free.append(number)
    return free


def _filled(slot: Slot, cause: str, draft: Draft) -> Slot:
    return slot._replace(holders=[draft.birth(slot, "scale", cause)])


def _remove(slots: Iterable[Slot], replicas: int, draft: Draft) -> None:
    for slot in slots:
        if not draft.room_for(1):
            return
        for task in slot.tasks:
            draft.end(task, REMOVE, f"scaled down to {replicas}")


def _number(slot: Slot) -> int:
    assert isinstance(slot.key, int)
    return slot.key
