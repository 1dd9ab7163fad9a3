"""Nodes that are lost and come back: everything runs once, before, meanwhile and after."""

from __future__ import annotations

import os
import signal
import time

from skep.testing.daemon import until
from skep.testing.playground import SLEEPER, PlaygroundHost

REPLICAS = 12
GRACE_S = 3.0
"""Whoever was silent for so long is known to be lost."""


def start_service(nodes: PlaygroundHost, *words: str) -> None:
    nodes.create("web", "--replicas", str(REPLICAS), *words, *SLEEPER)
    nodes.until_running("web", REPLICAS)
    assert nodes.spread("web") == {"n1": 4, "n2": 4, "n3": 4}


def ids_running(nodes: PlaygroundHost) -> set[str]:
    return {str(task["ID"]) for task in nodes.running("web")}


def test_tasks_of_a_killed_node_run_elsewhere_and_only_there_when_it_is_back(
    nodes: PlaygroundHost,
) -> None:
    start_service(nodes)
    lost = nodes.containers("n3", running=True)
    nodes.kill("n3")
    nodes.until_running("web", REPLICAS, but_on="n3")
    assert nodes.node_state("n3") == "down"
    nodes.until_settled("web", REPLICAS, "n1", "n2")

    nodes.start("n3")
    nodes.until_state("n3", "ready")
    nodes.until_settled("web", REPLICAS)
    assert "n3" not in nodes.spread("web")
    assert not lost & ids_running(nodes)


def test_a_node_that_is_back_before_it_is_missed_starts_its_tasks_anew(
    nodes: PlaygroundHost,
) -> None:
    """Its containers died with it; whether it was declared down meanwhile does not matter."""
    start_service(nodes, "--restart-delay", "0s")
    lost = nodes.containers("n3", running=True)
    nodes.kill("n3")
    nodes.start("n3")
    nodes.until_state("n3", "ready")
    until(lambda: not lost & ids_running(nodes), on_timeout=nodes.story)
    nodes.until_settled("web", REPLICAS)


def test_a_cut_off_node_keeps_its_tasks_and_stops_those_that_were_replaced_when_healed(
    nodes: PlaygroundHost,
) -> None:
    start_service(nodes)
    before = nodes.containers("n3", running=True)
    nodes.partition("n3")
    nodes.until_running("web", REPLICAS, but_on="n3")
    nodes.until_settled("web", REPLICAS, "n1", "n2")
    assert nodes.containers("n3", running=True) == before, "they serve whoever reaches them"

    nodes.heal()
    nodes.until_state("n3", "ready")
    nodes.until_settled("web", REPLICAS)
    assert not before & ids_running(nodes)


def test_nobody_is_condemned_for_a_silence_shorter_than_the_grace(nodes: PlaygroundHost) -> None:
    """A worker that stood still, one that was cut off; the manager stands still for longer than
    any grace: as when its machine was suspended, its own sleep is not the others' silence."""
    start_service(nodes)
    before = ids_running(nodes)
    stand_still(nodes, "n3", 1.5)
    nodes.partition("n2")
    nodes.heal()
    stand_still(nodes, "n1", 4.0)
    time.sleep(GRACE_S)
    assert {nodes.node_state(name) for name in nodes.names} == {"ready"}
    assert ids_running(nodes) == before
    nodes.until_settled("web", REPLICAS)


def stand_still(nodes: PlaygroundHost, name: str, pause_s: float) -> None:
    daemon = nodes.daemon_pid(name)
    os.kill(daemon, signal.SIGSTOP)
    time.sleep(pause_s)
    os.kill(daemon, signal.SIGCONT)


def test_a_daemon_that_is_killed_finds_its_containers_again(nodes: PlaygroundHost) -> None:
    start_service(nodes)
    before = ids_running(nodes)
    os.kill(nodes.daemon_pid("n3"), signal.SIGKILL)
    nodes.until_answers("n3")
    nodes.ok("service", "scale", "--detach", f"web={REPLICAS + 3}")
    nodes.until_settled("web", REPLICAS + 3)
    assert nodes.spread("web") == {"n1": 5, "n2": 5, "n3": 5}
    assert before < ids_running(nodes)


def test_what_was_decided_while_nodes_were_cut_off_is_done_when_they_are_healed(
    nodes: PlaygroundHost,
) -> None:
    """Two nodes of three, a service that shrinks and one that is removed."""
    start_service(nodes)
    nodes.create("gone", "--mode", "global", *SLEEPER)
    until(lambda: nodes.spread("gone") == {"n1": 1, "n2": 1, "n3": 1})
    nodes.partition("n2", "n3")
    nodes.until_state("n2", "down")
    nodes.until_state("n3", "down")
    nodes.ok("service", "rm", "gone")
    nodes.ok("service", "scale", "--detach", "web=3")
    nodes.until_running("web", 3)
    nodes.until_settled("web", 3, "n1")
    nodes.heal()
    nodes.until_settled("web", 3)


def test_a_node_that_was_down_is_removed_and_forgotten(nodes: PlaygroundHost) -> None:
    """Its containers stop when it returns: it has no cluster any more."""
    start_service(nodes)
    nodes.partition("n3")
    nodes.until_running("web", REPLICAS, but_on="n3")
    nodes.ok("node", "rm", "n3")
    assert set(nodes.node_names().values()) == {"n1", "n2"}
    nodes.heal()
    until(lambda: "was removed from the cluster" in nodes.get("/info", "n3")["Swarm"]["Error"])
    nodes.ok("swarm", "leave", node="n3")
    assert nodes.containers("n3", running=False) == set()
    nodes.until_settled("web", REPLICAS, "n1", "n2")
    token = nodes.ok("swarm", "join-token", "-q", "worker")
    nodes.ok("swarm", "join", "--token", token, "10.213.0.1:2377", node="n3")
    nodes.until_state("n3", "ready")
