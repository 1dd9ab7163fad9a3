"""How a refusal is worded for docker's clients.

Docker's daemon passes on its cluster's gRPC errors as text, "rpc error: code = C desc = D", and
tools around it (terraform, ansible, portainer, docker's own tests) search for that text. Where they
do, we write the same; everywhere else the error's own sentence.
"""

from __future__ import annotations

from collections.abc import Callable

from skep.kit.errors import (
    NameTaken,
    NeverAllowed,
    NoCluster,
    NotPossibleNow,
    OutOfSequence,
    SkepError,
)
from skep.model.system import SwarmInfo

_NO_MANAGER = "This node is not a swarm manager. "
_NO_MANAGER_ADVICE = {
    "active": (
        "Worker nodes can't be used to view or modify cluster state. Please run this command on a "
        "manager node or promote the current node to a manager."
    ),
    "error": "It could not start its part in the swarm: see `docker info`, or leave with --force.",
    "pending": "It is still joining the swarm: try again in a moment.",
}


def worded(error: SkepError, swarm: Callable[[], SwarmInfo]) -> str:
    """The sentence that a docker client of this node is shown."""
    match error:
        case OutOfSequence():
            return f"rpc error: code = Unknown desc = {error}"
        case NameTaken():
            conflict = "name conflicts with an existing object"
            return f"rpc error: code = AlreadyExists desc = {conflict}: {error}"
        case NotPossibleNow():
            return f"rpc error: code = FailedPrecondition desc = {error}"
        case NeverAllowed():
            return f"rpc error: code = Unimplemented desc = {error}"
        case NoCluster():
            return _no_manager(swarm())
        case _:
            return str(error)


def _no_manager(swarm: SwarmInfo) -> str:
    """Why the cluster cannot be asked through this node, and what to do."""
    if swarm.local_node_state == "locked":
        return (
            "Swarm is encrypted and needs to be unlocked before it can be used. "
            'Please use "docker swarm unlock" to unlock it.'
        )
    advice = _NO_MANAGER_ADVICE.get(
        swarm.local_node_state,
        'Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
        "and try again.",
    )
    return _NO_MANAGER + advice
