"""Refusals in the words that docker's clients look for."""

from __future__ import annotations

import pytest

from skep.api.words import worded
from skep.kit.errors import (
    Conflict,
    NameTaken,
    NeverAllowed,
    NoCluster,
    NotPossibleNow,
    OutOfSequence,
    SkepError,
)
from skep.model.system import LocalNodeState, SwarmInfo


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (OutOfSequence(), 500, "rpc error: code = Unknown desc = update out of sequence"),
        (
            NameTaken("service", "web"),
            409,
            "rpc error: code = AlreadyExists desc = name conflicts with an existing object: "
            "service web already exists",
        ),
        (
            NotPossibleNow("node n is not down"),
            400,
            "rpc error: code = FailedPrecondition desc = node n is not down",
        ),
        (
            NeverAllowed("renaming services is not supported"),
            501,
            "rpc error: code = Unimplemented desc = renaming services is not supported",
        ),
        (
            NoCluster(),
            503,
            'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" '
            "to connect this node to swarm and try again.",
        ),
        (Conflict("as it is"), 409, "as it is"),
    ],
)
def test_refusals_have_docker_s_words(error: SkepError, status: int, words: str) -> None:
    assert (error.http_status, worded(error, SwarmInfo)) == (status, words)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("active", "Worker nodes can't be used to view or modify cluster state."),
        ("locked", "Swarm is encrypted and needs to be unlocked before it can be used."),
        ("pending", "It is still joining the swarm: try again in a moment."),
    ],
)
def test_why_there_is_no_cluster_depends_on_the_node(state: LocalNodeState, words: str) -> None:
    assert words in worded(NoCluster(), lambda: SwarmInfo(local_node_state=state))
