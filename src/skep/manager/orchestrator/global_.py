"""Global services: one task on each node that may have it.

Swarm's rules (swarmkit manager/orchestrator/global): a node gets a task while it is ready, active
and meets the constraints; a paused node keeps its task and gets no other; a drained node, and one
that no longer meets the constraints, loses it. Tasks have their node from birth.

Unlike Swarm, a task on a node that is down is left alone, unless the service has moved on: no
other node could do its work, and the node may return with it. Nodes that are down take no part in
updates; they get the newest spec when they return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skep.manager.constraint import Constraint, matches, parse
from skep.manager.orchestrator.draft import Draft
from skep.manager.orchestrator.restart import at_rest
from skep.manager.orchestrator.scene import why_lost
from skep.manager.orchestrator.slots import Slot, SlotKey
from skep.manager.orchestrator.stale import Staleness
from skep.model import defaults
from skep.model.node import Node, eligible
from skep.model.states import TaskState


def spread(
    slots: Mapping[SlotKey, Slot], staleness: Staleness, draft: Draft
) -> tuple[list[Slot], list[Slot]]:
    """Make it one slot for each node that may have one.

    Returns those that stay, by node, and those that are new, with their first task.
    """
    scene = draft.scene
    constraints = parse(defaults.placement(scene.service.spec.task_template).constraints)
    kept, new = [], []
    for node in scene.view.nodes():
        slot = slots.get(node.id) or Slot(node.id, [], [])
        reason = _why_not(node, constraints)
        if reason:
            _end(slot, reason, draft)
        elif node.status.state == "down":
            _end_stale(slot, staleness, draft)
        elif eligible(node) and not slot.holders and not at_rest(slot):
            if not draft.room_for(1):
                continue
            cause = f"node {scene.name_of_node(node.id)} is ready"
            new.append(slot._replace(holders=[draft.birth(slot, "scale", cause)]))
        elif eligible(node):
            kept.append(slot)
    for key in sorted(key for key in slots if scene.view.node(str(key)) is None):
        _end(slots[key], why_lost(scene, slots[key].tasks[-1]), draft)
    return kept, new


def _why_not(node: Node, constraints: Sequence[Constraint]) -> str:
    """Why the node must not have a task of the service; "" if it may."""
    name = node.description.hostname or node.id
    if node.spec.availability == "drain":
        return f"drain of node {name}"
    if not matches(constraints, node):
        return f"node {name} does not meet the constraints"
    return ""


def _end(slot: Slot, cause: str, draft: Draft) -> None:
    for task in slot.holders:
        draft.end(task, TaskState.SHUTDOWN, cause)


def _end_stale(slot: Slot, staleness: Staleness, draft: Draft) -> None:
    for task in slot.holders:
        if staleness.stale(task):
            draft.end(task, TaskState.SHUTDOWN, "the service was updated while its node was down")
