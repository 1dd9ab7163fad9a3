"""Rebalancing: a service that asks for it moves tasks to nodes that joined or came back.

Not Swarm's, which never moves a task that runs. The service asks with the label
`skep.rebalance=true`. Tasks move from the nodes with most of the service while another possible
node has at least two fewer, always start-first, so that there are never fewer than wanted, and
as many together as the update settings' `parallelism` says, `delay` apart. A slot that was moved,
or could not be, stays for ten minutes: should the scheduler know better where it belongs, the two
must not play ball with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from skep.kit.clock import after_ns
from skep.manager.constraint import matches, parse
from skep.manager.orchestrator.draft import Draft
from skep.manager.orchestrator.moves import replace_holder, under_way
from skep.manager.orchestrator.settle import Settler
from skep.manager.orchestrator.slots import Slot, running
from skep.model import defaults
from skep.model.node import eligible
from skep.model.service import Service

LABEL = "skep.rebalance"
_STAYS = timedelta(minutes=10)


def asked_for(service: Service) -> bool:
    """The service wants its tasks moved to nodes that join or come back."""
    return service.spec.labels.get(LABEL, "").lower() in ("true", "1")


def advance(slots: Sequence[Slot], settler: Settler, draft: Draft) -> None:
    """Move what may move now, if the service asks for it and is otherwise at peace."""
    service = draft.scene.service
    if not asked_for(service) or draft.service is not None:
        return
    if any(map(under_way, slots)):
        return
    surplus = _surplus([slot for slot in slots if _movable(slot, settler)], draft)
    if surplus and _delay_is_over(slots, draft):
        next_ones = surplus[: defaults.update_config(service.spec).parallelism or None]
        for slot in next_ones[: draft.room_for(len(next_ones))]:
            node = draft.scene.name_of_node(slot.holders[0].node_id)
            replace_holder(slot, True, "rebalance", f"rebalance from node {node}", draft)


def _movable(slot: Slot, settler: Settler) -> bool:
    """Nothing else happens in the slot."""
    return len(slot.holders) == 1 and running(slot.holders[0]) and settler.fit(slot.holders[0])


def _surplus(movable: Sequence[Slot], draft: Draft) -> list[Slot]:
    """Slots that should be elsewhere, from the fullest nodes, the highest numbers first."""
    slots_on = _by_possible_node(movable, draft)
    if not slots_on:
        return []
    counts = {node_id: len(slots) for node_id, slots in slots_on.items()}
    chosen: list[Slot] = []
    while True:
        fullest = max(counts, key=lambda node_id: (counts[node_id], node_id))
        emptiest = min(counts, key=lambda node_id: (counts[node_id], node_id))
        if counts[fullest] - counts[emptiest] < 2:
            return [slot for slot in chosen if not _moved_lately(slot, draft)]
        chosen.append(slots_on[fullest].pop())
        counts[fullest] -= 1
        counts[emptiest] += 1


def _by_possible_node(movable: Sequence[Slot], draft: Draft) -> dict[str, list[Slot]]:
    """The slots on each node that may be given tasks of the service."""
    constraints = parse(defaults.placement(draft.scene.service.spec.task_template).constraints)
    slots_on: dict[str, list[Slot]] = {
        node.id: []
        for node in draft.scene.view.nodes()
        if eligible(node) and matches(constraints, node)
    }
    for slot in movable:
        if slot.holders[0].node_id in slots_on:
            slots_on[slot.holders[0].node_id].append(slot)
    return slots_on


def _moved_lately(slot: Slot, draft: Draft) -> bool:
    since = draft.scene.now - _STAYS
    return any(task.origin == "rebalance" and task.created_at > since for task in slot.tasks)


def _delay_is_over(slots: Sequence[Slot], draft: Draft) -> bool:
    """The update delay has passed since the last task that was moved began to run."""
    delay_ns = defaults.update_config(draft.scene.service.spec).delay
    arrivals = [
        task.running_since
        for slot in slots
        for task in slot.holders
        if task.origin == "rebalance" and task.running_since is not None
    ]
    if not arrivals or after_ns(max(arrivals), delay_ns) <= draft.scene.now:
        return True
    draft.wake(after_ns(max(arrivals), delay_ns))
    return False
