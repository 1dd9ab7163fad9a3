"""What the API asks of nodes."""

from __future__ import annotations

from skep.manager.control.filters import NO_FILTERS, Filters
from skep.manager.control.writer import Store
from skep.model.node import Node, NodeSpec


class Nodes:
    """Nodes by id, hostname or id prefix (`reference`)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, reference: str) -> Node:
        raise NotImplementedError

    def find(self, filters: Filters = NO_FILTERS) -> list[Node]:
        """Nodes by id; filters id, label (the engine's), membership, name, node.label, role."""
        raise NotImplementedError

    async def update(self, reference: str, version: int, spec: NodeSpec) -> None:
        """Replace the node's spec: labels, availability, role."""
        raise NotImplementedError

    async def remove(self, reference: str, force: bool = False) -> None:
        """Forget a node that is down, or any worker with `force`."""
        raise NotImplementedError
