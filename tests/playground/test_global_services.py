"""Global services: a task on each node that may have one, whatever happens to the nodes."""

from __future__ import annotations

from skep.testing.daemon import until
from skep.testing.playground import SLEEPER, PlaygroundHost


def until_on(nodes: PlaygroundHost, service: str, *names: str) -> None:
    """One task on each of these nodes, and none elsewhere."""
    wanted = dict.fromkeys(names, 1)
    until(lambda: nodes.spread(service) == wanted, on_timeout=nodes.story)


def running_on(nodes: PlaygroundHost, service: str, name: str) -> str:
    """The id of the task there."""
    node_id = nodes.node_id(name)
    (task,) = [task for task in nodes.running(service) if task["NodeID"] == node_id]
    return str(task["ID"])


def test_every_node_has_one_task(nodes: PlaygroundHost) -> None:
    nodes.create("probe", "--mode", "global", *SLEEPER)
    until_on(nodes, "probe", "n1", "n2", "n3")


def test_a_drained_node_loses_its_task_and_gets_one_when_it_is_active_again(
    nodes: PlaygroundHost,
) -> None:
    nodes.create("probe", "--mode", "global", *SLEEPER)
    until_on(nodes, "probe", "n1", "n2", "n3")
    nodes.ok("node", "update", "--availability", "drain", "n2")
    until_on(nodes, "probe", "n1", "n3")
    until(lambda: not nodes.containers("n2", running=True), on_timeout=nodes.story)
    nodes.ok("node", "update", "--availability", "active", "n2")
    until_on(nodes, "probe", "n1", "n2", "n3")


def test_a_paused_node_keeps_its_task_and_gets_none_of_a_new_service(
    nodes: PlaygroundHost,
) -> None:
    nodes.create("probe", "--mode", "global", *SLEEPER)
    until_on(nodes, "probe", "n1", "n2", "n3")
    kept = running_on(nodes, "probe", "n2")
    nodes.ok("node", "update", "--availability", "pause", "n2")
    nodes.create("late", "--mode", "global", *SLEEPER)
    until_on(nodes, "late", "n1", "n3")
    assert running_on(nodes, "probe", "n2") == kept


def test_constraints_choose_its_nodes_as_labels_come_and_go(nodes: PlaygroundHost) -> None:
    nodes.create("probe", "--mode", "global", "--constraint", "node.labels.disk==ssd", *SLEEPER)
    nodes.ok("node", "update", "--label-add", "disk=ssd", "n3")
    until_on(nodes, "probe", "n3")
    nodes.ok("node", "update", "--label-add", "disk=ssd", "n1")
    until_on(nodes, "probe", "n1", "n3")
    nodes.ok("node", "update", "--label-rm", "disk", "n3")
    until_on(nodes, "probe", "n1")


def test_a_node_that_leaves_loses_its_task_and_one_that_joins_gets_one(
    nodes: PlaygroundHost,
) -> None:
    """The node that left is down until somebody removes it: it could have come back."""
    nodes.create("probe", "--mode", "global", *SLEEPER)
    until_on(nodes, "probe", "n1", "n2", "n3")
    left = nodes.node_id("n3")
    nodes.ok("swarm", "leave", node="n3")
    assert nodes.containers("n3", running=False) == set()
    nodes.until_state("n3", "down")
    assert nodes.ok("service", "ls", "--format", "{{.Replicas}}") == "2/2"
    nodes.ok("node", "rm", left)
    until_on(nodes, "probe", "n1", "n2")
    token = nodes.ok("swarm", "join-token", "-q", "worker")
    nodes.ok(
        "swarm", "join", "--token", token, "--advertise-addr", "10.213.0.3", "10.213.0.1:2377",
        node="n3",
    )  # fmt: skip
    until_on(nodes, "probe", "n1", "n2", "n3")
    assert nodes.node_id("n3") != left
