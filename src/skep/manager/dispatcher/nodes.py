"""What the dispatcher writes of nodes: that they came, what they are, that they are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from msgspec.structs import replace

from skep.kit.errors import OutOfSequence
from skep.manager.dispatcher.sanitized import description_of
from skep.model.node import Node, NodeDescription, NodeState, NodeStatus
from skep.store.change import Update
from skep.store.store import Store


class NodeStates:
    """Commits the states of nodes, many at once where many change. Nodes that were removed are
    passed over; a node that somebody else wrote meanwhile is read again. Raises Unavailable when
    the store cannot be written."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    async def arrived(self, node_id: str, said: NodeDescription, addr: str) -> None:
        """Raises LinkClosed for a description that is too large."""
        description = description_of(said)

        def ready(node: Node) -> Node:
            status = NodeStatus(state="ready", addr=addr)
            return replace(node, description=description, status=status, down_since=None)

        await self._change([node_id], ready, "the node's agent opened a session")

    async def described(self, node_id: str, said: NodeDescription) -> None:
        """Raises LinkClosed for a description that is too large."""
        description = description_of(said)
        await self._change(
            [node_id],
            lambda node: replace(node, description=description),
            "the node described itself anew",
        )

    async def lost(self, node_ids: Iterable[str], message: str) -> list[str]:
        """The ids of those that were not down before."""

        def down(node: Node) -> Node:
            if node.status.state == "down":
                return node
            return replace(_in_state(node, "down", message), down_since=self._clock())

        return await self._change(node_ids, down, message)

    async def unheard(self, node_ids: Iterable[str], message: str) -> None:
        await self._change(node_ids, lambda node: _in_state(node, "unknown", message), message)

    async def _change(
        self, node_ids: Iterable[str], change: Callable[[Node], Node], why: str
    ) -> list[str]:
        """The ids of those that the change changed."""
        node_ids = list(node_ids)
        while True:
            nodes = [n for node_id in node_ids if (n := self._store.view.node(node_id))]
            wanted = [new for node in nodes if (new := change(node)) != node]
            try:
                await self._store.commit([Update(new, why) for new in wanted])
            except OutOfSequence:
                continue
            return [node.id for node in wanted]


def _in_state(node: Node, state: NodeState, message: str) -> Node:
    return replace(node, status=replace(node.status, state=state, message=message))
