"""One node as its doors see it: the engine and, on a manager, the cluster, joined where a person
sees one thing.

    networks = Networks(node)
    await networks.find(lambda network: network.driver == "overlay")

`node.py` says what a node offers to doors. What follows from that for networks and for events is
decided here, once, whatever the door.
"""

from skep.node.node import Node

__all__ = ["Node"]
