"""What doors ask of nodes."""

from __future__ import annotations

from msgspec.structs import replace

from skep.kit.errors import NotPossibleNow, Unimplemented
from skep.kit.where import Where, anything
from skep.manager.control import resolve
from skep.manager.control.writer import check_version, commit_latest
from skep.model.node import Node, NodeSpec
from skep.store.change import Delete, Update, View
from skep.store.store import Store


class Nodes:
    """Nodes by id, hostname or id prefix (`reference`)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, reference: str) -> Node:
        return resolve.node(self._store.view, reference)

    def find(self, where: Where[Node] = anything) -> list[Node]:
        """Nodes by id."""
        return [node for node in self._store.view.nodes() if where(node)]

    async def update(self, reference: str, version: int, spec: NodeSpec) -> None:
        """Replace the node's spec: labels, availability, role."""
        node_id = self.get(reference).id

        def change(view: View) -> list[Update]:
            node = resolve.node(view, node_id)
            check_version(node, version)
            _check_role(view, node, spec)
            changed = replace(node, spec=spec, spec_since=node.version)
            return [Update(changed, why="node update")]

        await commit_latest(self._store, change)

    async def remove(self, reference: str, force: bool = False) -> None:
        """Forget a node that is down, or any worker with `force`."""
        node_id = self.get(reference).id

        def forget(view: View) -> list[Delete]:
            node = resolve.node(view, node_id)
            _check_removal(node, force)
            return [Delete(node, why="node rm")]

        await commit_latest(self._store, forget)


def _check_removal(node: Node, force: bool) -> None:
    if node.spec.role == "manager" or node.manager_status is not None:
        raise NotPossibleNow(
            f"node {node.id} is a cluster manager and is a member of the raft cluster. "
            "It must be demoted to worker before removal"
        )
    if node.status.state != "down" and not force:
        raise NotPossibleNow(
            f"node {node.id} is not down and can't be removed: run skep swarm leave on it, "
            "or use --force"
        )


def _check_role(view: View, node: Node, spec: NodeSpec) -> None:
    if spec.role == node.spec.role:
        return
    if spec.role == "manager":
        raise Unimplemented(
            f"node {node.id} cannot be promoted: a cluster has one manager until several "
            "managers are supported"
        )
    managers = [other for other in view.nodes() if other.spec.role == "manager"]
    if len(managers) <= 1:
        raise NotPossibleNow("attempting to demote the last manager of the swarm")
