"""What the plan of one service looks at: constant while the plan is made."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from skep.manager.room import NewId
from skep.model.node import Node
from skep.model.service import Service
from skep.model.task import Task
from skep.store.change import View


class Scene:
    """The service, the nodes of its tasks, the moment."""

    def __init__(self, service: Service, view: View, now: datetime, new_id: NewId) -> None:
        self.service = service
        self.view = view
        self.now = now
        self.new_id = new_id
        self._fates: dict[str, Fate] = {"": "sound"}

    def lost(self, task: Task) -> bool:
        """The task's node is down or no longer in the cluster."""
        return self._fate(task.node_id) in _LOST

    def draining(self, task: Task) -> bool:
        """The task's node lives and is to be emptied."""
        return self._fate(task.node_id) == "draining"

    def sound(self, task: Task) -> bool:
        """Nothing about its node speaks against the task: also where it has none yet."""
        return self._fate(task.node_id) == "sound"

    def name_of_node(self, node_id: str) -> str:
        """As people know it."""
        node = self.view.node(node_id)
        return (node and node.description.hostname) or node_id

    def _fate(self, node_id: str) -> Fate:
        fate = self._fates.get(node_id)
        if fate is None:
            fate = self._fates[node_id] = _fate(self.view.node(node_id))
        return fate


Fate = Literal["sound", "draining", "down", "removed"]
_LOST = frozenset({"down", "removed"})


def _fate(node: Node | None) -> Fate:
    if node is None:
        return "removed"
    if node.status.state == "down":
        return "down"
    return "draining" if node.spec.availability == "drain" else "sound"


def why_lost(scene: Scene, task: Task) -> str:
    """`node n2 is down: heartbeat failure`."""
    node = scene.view.node(task.node_id)
    if node is None:
        return f"node {task.node_id} was removed from the cluster"
    reason = f": {node.status.message}" if node.status.message else ""
    return f"node {scene.name_of_node(node.id)} is down{reason}"


def why_dead(task: Task) -> str:
    """`non-zero exit (1)`, or how else the task ended."""
    reason = task.status.err.removeprefix("task: ")
    return reason or _ENDINGS.get(task.status.state, str(task.status.state))


_ENDINGS = {"complete": "it completed", "shutdown": "it was shut down", "failed": "it failed"}
