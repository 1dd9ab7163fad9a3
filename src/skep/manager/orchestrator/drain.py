"""Drains: tasks leave a node that is to be emptied, within the update settings of their service.

Swarm stops all of a drained node's tasks at once. Here a service that says how it is updated is
drained in the same way: `parallelism` tasks at a time (0 = all), in its `order`, without the
`delay`, which is there to watch a new version. A service that says nothing moves up to half of its
replicas (at least one) at a time: as quick as Swarm where replicas are spread, and never all of
them are away.

Where no node is left that takes tasks, there is nothing to wait for and the user's word counts:
all stop, and successors wait for a node, as in Swarm.
"""

from __future__ import annotations

from collections.abc import Sequence

from skep.manager.orchestrator.draft import Draft
from skep.manager.orchestrator.moves import allowance, replace_holder
from skep.manager.orchestrator.restart import at_rest
from skep.manager.orchestrator.settle import Settler
from skep.manager.orchestrator.slots import Slot
from skep.model import defaults
from skep.model.node import eligible
from skep.model.service import Service
from skep.model.states import TaskState


def advance(slots: Sequence[Slot], settler: Settler, draft: Draft) -> list[Slot]:
    """Move what may move now; the slots as they are after that."""
    scene = draft.scene
    leaving = [slot for slot in slots if _leaves(slot, settler, draft)]
    if not leaving:
        return list(slots)
    spec = scene.service.spec
    somewhere_to_go = any(eligible(node) for node in scene.view.nodes())
    start_first = somewhere_to_go and defaults.update_config(spec).order == "start-first"
    free = allowance(_limit(scene.service), slots) if somewhere_to_go else None
    next_ones = leaving[:free]
    chosen = {slot.key for slot in next_ones[: draft.room_for(len(next_ones))]}
    return [_moved(slot, start_first, draft) if slot.key in chosen else slot for slot in slots]


def _limit(service: Service) -> int:
    """How many of the service's tasks may be moving at a time; 0 = any number."""
    if service.spec.update_config is not None:
        return service.spec.update_config.parallelism
    return max(1, defaults.replicas(service) // 2)


def _leaves(slot: Slot, settler: Settler, draft: Draft) -> bool:
    """The slot is held from a draining node only, and its last task did not give up."""
    return (
        bool(slot.holders)
        and any(map(draft.scene.draining, slot.holders))
        and not any(settler.fit(task) for task in slot.holders)
        and not at_rest(slot)
    )


def _moved(slot: Slot, start_first: bool, draft: Draft) -> Slot:
    node_id = next(task.node_id for task in slot.holders if draft.scene.draining(task))
    cause = f"drain of node {draft.scene.name_of_node(node_id)}"
    if defaults.restart_condition(slot.tasks[-1].spec) != "none":
        return replace_holder(slot, start_first, "drain", cause, draft)
    for task in slot.holders:
        draft.end(task, TaskState.SHUTDOWN, f"{cause}; restart condition none")
    return slot._replace(holders=[])
