"""Replicated services: slots 1 to N, the lowest free number first.

Swarm's order of scaling down (swarmkit manager/orchestrator/replicated): slots go first from the
nodes that hold most of the service, those that do not run before those that do, then the highest
number. Unlike Swarm, what is remembered of a slot that is no more is forgotten with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from skep.manager.orchestrator.draft import Draft, ended, new_task
from skep.manager.orchestrator.restart import at_rest
from skep.manager.orchestrator.slots import REMOVE, Slot, SlotKey, running
from skep.model import defaults
from skep.model.service import MOST_REPLICAS, Service
from skep.store.change import Create, Update


def resize(slots: Mapping[SlotKey, Slot], draft: Draft) -> tuple[list[Slot], list[Slot]]:
    """Make it as many slots as are wanted.

    Returns those that stay, by number, and those that are new, with their first task.
    """
    replicas = _replicas(draft)
    filled = [slot for slot in slots.values() if slot.holders or at_rest(slot)]
    kept = _kept(filled, replicas)
    keys = {slot.key for slot in kept}
    vacant = _lowest_free(keys, replicas - len(kept))
    keys.update(vacant)
    surplus = [slot for slot in slots.values() if slot.key not in keys]
    cause = _why_more(draft.scene.service, bool(slots))
    new = _fill(vacant, slots, cause, draft)
    _remove(surplus, replicas, draft)
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


def _fill(
    vacant: Sequence[int], slots: Mapping[SlotKey, Slot], cause: str, draft: Draft
) -> list[Slot]:
    """Give each its task; those that fit in this commit are returned. A slot in which nothing was
    before can have its own later, whatever happens until then."""
    known = [slots[key] for key in vacant if key in slots]
    fresh = [key for key in vacant if key not in slots]
    chosen = known[: draft.room_for(len(known))]
    now, later = fresh[: draft.left - len(chosen)], fresh[draft.left - len(chosen) :]
    chosen += [Slot(key, [], []) for key in now]
    filled = [slot._replace(holders=[draft.birth(slot, "scale", cause)]) for slot in chosen]
    if later:
        tasks = (new_task(draft.scene, key, "scale", cause) for key in later)
        draft.for_later(Create(task, why=cause) for task in tasks)
    return filled


def _remove(slots: Iterable[Slot], replicas: int, draft: Draft) -> None:
    cause = f"scaled down to {replicas}"
    tasks = [task for slot in slots for task in slot.tasks if task.desired_state < REMOVE]
    now, later = tasks[: draft.left], tasks[draft.left :]
    for task in now:
        draft.end(task, REMOVE, cause)
    if later:
        draft.for_later(Update(ended(task, REMOVE, cause), why=cause) for task in later)


def _number(slot: Slot) -> int:
    assert isinstance(slot.key, int)
    return slot.key
