"""A daemon that is killed -9 while its node joins or leaves: afterwards it is a member or it is
not, the manager knows which, and the next try succeeds."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from skep.testing.daemon import until
from skep.testing.playground import SLEEPER, PlaygroundHost

SEED = random.SystemRandom().randrange(10**6)
MANAGER = "10.213.0.1:2377"


def kill_during(nodes: PlaygroundHost, words: Sequence[str], chance: random.Random) -> None:
    """kill -9 of n3's daemon soon after docker's client began; wait until it is there again."""
    daemon = nodes.daemon_pid("n3")
    client = nodes.begin(*words, node="n3")
    time.sleep(chance.uniform(0.015, 0.09))
    os.kill(daemon, signal.SIGKILL)
    client.communicate(timeout=30)
    until(lambda: not Path(f"/proc/{daemon}").exists())
    nodes.until_answers("n3")


def join(nodes: PlaygroundHost) -> tuple[str, ...]:
    token = nodes.ok("swarm", "join-token", "-q", "worker")
    return ("swarm", "join", "--token", token, MANAGER)


def check_member_or_not(nodes: PlaygroundHost) -> bool:
    """Whether n3 is a member: one that the manager has, with its key, or none without a trace."""
    swarm = nodes.get("/info", "n3")["Swarm"]
    folder = nodes.place("n3").data_root / "swarm"
    if swarm["LocalNodeState"] == "inactive":
        assert not folder.exists()
        assert swarm["NodeID"] == ""
        return False
    until(lambda: nodes.get(f"/nodes/{swarm['NodeID']}")["Status"]["State"] == "ready")
    assert {"member.json", "node.pem", "roots.pem"} <= {path.name for path in folder.iterdir()}
    until(lambda: not list(folder.glob(".*")))
    return True


def test_killed_while_it_joins(nodes: PlaygroundHost, outsider: str) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    for _ in range(6):
        kill_during(nodes, join(nodes), chance)
        if not check_member_or_not(nodes):
            assert nodes.ok(*join(nodes), node=outsider) == "This node joined a swarm as a worker."
        assert check_member_or_not(nodes)
        nodes.ok("swarm", "leave", node=outsider)
    until(lambda: "unknown" not in states_of_nameless(nodes))
    assert states_of_nameless(nodes) <= {"down"}


def states_of_nameless(nodes: PlaygroundHost) -> set[str]:
    """Of nodes that the manager let in, and that died before they said who they are."""
    found = nodes.get("/nodes")
    return {n["Status"]["State"] for n in found if not n["Description"].get("Hostname")}


@pytest.mark.parametrize("turn", range(3))
def test_killed_while_it_leaves(nodes: PlaygroundHost, outsider: str, turn: int) -> None:
    print(f"seed {SEED + turn}")
    nodes.ok(*join(nodes), node=outsider)
    nodes.create("web", "--replicas", "6", *SLEEPER)
    nodes.until_running("web", 6)
    kill_during(nodes, ("swarm", "leave"), random.Random(SEED + turn))
    if check_member_or_not(nodes):
        nodes.ok("swarm", "leave", node=outsider)
    until(lambda: not nodes.containers(outsider, running=False))
    nodes.until_settled("web", 6, "n1", "n2")
    nodes.ok(*join(nodes), node=outsider)
    assert check_member_or_not(nodes)
