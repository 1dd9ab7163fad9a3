"""Nodes that are emptied, paused, removed: what moves, and what must never be missing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from skep.testing.daemon import until
from skep.testing.playground import SLEEPER, PlaygroundHost


@contextmanager
def watched(nodes: PlaygroundHost) -> Iterator[list[int]]:
    """How many containers really ran, on all nodes together, looked at again and again."""
    seen: list[int] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.append(sum(len(nodes.containers(name, running=True)) for name in nodes.names))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def drain(nodes: PlaygroundHost, name: str) -> None:
    nodes.ok("node", "update", "--availability", "drain", name)


def test_a_start_first_service_never_has_fewer_replicas_than_wanted(
    nodes: PlaygroundHost,
) -> None:
    order = ("--update-order", "start-first", "--update-parallelism", "3")
    nodes.create("web", "--replicas", "12", *order, *SLEEPER)
    nodes.until_running("web", 12)
    with watched(nodes) as seen:
        drain(nodes, "n2")
        nodes.until_running("web", 12, but_on="n2")
        until(lambda: not nodes.containers("n2", running=True), on_timeout=nodes.story)
    assert len(seen) > 3
    assert min(seen) == 12
    assert max(seen) <= 12 + 3 + 3, "as Swarm: the next ones start while those before them stop"
    nodes.until_settled("web", 12)


def test_a_stop_first_service_misses_no_more_than_its_parallelism(nodes: PlaygroundHost) -> None:
    nodes.create("web", "--replicas", "12", "--update-parallelism", "2", *SLEEPER)
    nodes.until_running("web", 12)
    with watched(nodes) as seen:
        drain(nodes, "n2")
        nodes.until_running("web", 12, but_on="n2")
    assert min(seen) >= 10
    nodes.until_settled("web", 12)


def test_a_service_without_settings_keeps_half_of_its_replicas(nodes: PlaygroundHost) -> None:
    nodes.create("web", "--replicas", "4", "--constraint", "node.hostname!=n1", *SLEEPER)
    nodes.until_running("web", 4)
    drain(nodes, "n3")
    nodes.until_running("web", 4, but_on="n3")
    with watched(nodes) as seen:
        nodes.ok("node", "update", "--availability", "active", "n3")
        drain(nodes, "n2")
        nodes.until_running("web", 4, but_on="n2")
    assert min(seen) >= 2
    nodes.until_settled("web", 4)


def test_an_active_node_is_used_again_but_nothing_moves_back_by_itself(
    nodes: PlaygroundHost,
) -> None:
    nodes.create("web", "--replicas", "6", *SLEEPER)
    nodes.until_running("web", 6)
    drain(nodes, "n3")
    nodes.until_running("web", 6, but_on="n3")
    nodes.ok("node", "update", "--availability", "active", "n3")
    nodes.create("late", "--replicas", "1", *SLEEPER)
    nodes.until_running("late", 1)
    assert nodes.spread("late") == {"n3": 1}
    assert "n3" not in nodes.spread("web")


def test_a_paused_node_keeps_its_tasks_and_gets_no_more(nodes: PlaygroundHost) -> None:
    nodes.create("web", "--replicas", "3", *SLEEPER)
    nodes.until_running("web", 3)
    kept = nodes.containers("n2", running=True)
    nodes.ok("node", "update", "--availability", "pause", "n2")
    nodes.ok("service", "scale", "--detach", "web=9")
    nodes.until_running("web", 9)
    assert nodes.spread("web") == {"n1": 4, "n2": 1, "n3": 4}
    assert nodes.containers("n2", running=True) == kept


def test_when_every_node_is_drained_the_tasks_wait(nodes: PlaygroundHost) -> None:
    nodes.create("web", "--replicas", "3", *SLEEPER)
    nodes.until_running("web", 3)
    for name in nodes.names:
        drain(nodes, name)
    until(lambda: not nodes.running("web"), on_timeout=nodes.story)
    sentence = "no suitable node (3 nodes not available for new tasks)"
    until(lambda: nodes.why_pending("web") == sentence, on_timeout=nodes.story)
    nodes.ok("node", "update", "--availability", "active", "n1")
    nodes.until_running("web", 3)
    assert nodes.spread("web") == {"n1": 3}


def test_a_service_that_asks_for_it_is_rebalanced_when_a_node_comes_back(
    nodes: PlaygroundHost,
) -> None:
    settings = ("--label", "skep.rebalance=true", "--update-parallelism", "2")
    nodes.create("web", "--replicas", "9", *settings, *SLEEPER)
    nodes.until_running("web", 9)
    drain(nodes, "n3")
    nodes.until_running("web", 9, but_on="n3")
    with watched(nodes) as seen:
        nodes.ok("node", "update", "--availability", "active", "n3")
        balanced = {"n1": 3, "n2": 3, "n3": 3}
        until(lambda: nodes.spread("web") == balanced, on_timeout=nodes.story)
    assert min(seen) >= 9
    nodes.until_settled("web", 9)


def test_a_node_that_runs_is_removed_only_by_force_and_its_tasks_go_elsewhere(
    nodes: PlaygroundHost,
) -> None:
    nodes.create("web", "--replicas", "6", *SLEEPER)
    nodes.until_running("web", 6)
    refused = nodes.docker("node", "rm", "n3")
    assert refused.code == 1
    assert "is not down and can't be removed" in refused.err
    removed = nodes.node_id("n3")
    nodes.ok("node", "rm", "--force", "n3")
    nodes.until_running("web", 6)
    assert nodes.spread("web") == {"n1": 3, "n2": 3}
    until(lambda: "was removed from the cluster" in nodes.get("/info", "n3")["Swarm"]["Error"])
    assert removed not in nodes.node_names()

    nodes.ok("swarm", "leave", node="n3")
    assert nodes.containers("n3", running=False) == set()
    token = nodes.ok("swarm", "join-token", "-q", "worker")
    nodes.ok("swarm", "join", "--token", token, "10.213.0.1:2377", node="n3")
    nodes.until_state("n3", "ready")
