"""Where tasks of replicated services are placed."""

from __future__ import annotations

import pytest

from skep.testing.daemon import until
from skep.testing.playground import SLEEPER, PlaygroundHost


def label(nodes: PlaygroundHost, **labels: str) -> None:
    """`label(nodes, n1="zone=a")`."""
    for name, text in labels.items():
        nodes.ok("node", "update", "--label-add", text, name)


def test_replicas_are_spread_evenly(nodes: PlaygroundHost) -> None:
    nodes.create("web", "--replicas", "30", *SLEEPER)
    nodes.until_running("web", 30)
    assert nodes.spread("web") == {"n1": 10, "n2": 10, "n3": 10}
    nodes.until_settled("web", 30)


def test_a_second_service_fills_up_the_nodes_that_have_less(nodes: PlaygroundHost) -> None:
    nodes.create("uneven", "--replicas", "4", "--constraint", "node.hostname!=n3", *SLEEPER)
    nodes.until_running("uneven", 4)
    nodes.create("web", "--replicas", "1", *SLEEPER)
    nodes.until_running("web", 1)
    assert nodes.spread("web") == {"n3": 1}


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ("node.labels.zone==a", {"n1"}),
        ("node.labels.zone!=a", {"n2", "n3"}),
        ("node.labels.zone in (a, b)", {"n1", "n2"}),
        ("node.labels.zone exists", {"n1", "n2"}),
        ("node.labels.rank > 5", {"n2"}),
        ("node.ip==10.213.0.2", {"n2"}),
    ],
)
def test_constraints_choose_nodes(
    nodes: PlaygroundHost, constraint: str, expected: set[str]
) -> None:
    label(nodes, n1="zone=a", n2="zone=b")
    label(nodes, n1="rank=3", n2="rank=10")
    nodes.create("web", "--replicas", "4", "--constraint", constraint, *SLEEPER)
    nodes.until_running("web", 4)
    assert nodes.spread("web").keys() == expected


def test_a_task_that_no_node_may_have_says_why_and_runs_when_one_may(
    nodes: PlaygroundHost,
) -> None:
    nodes.create("web", "--constraint", "node.labels.disk==ssd", *SLEEPER)
    sentence = "no suitable node (scheduling constraints not satisfied on 3 nodes)"
    until(lambda: nodes.why_pending("web") == sentence, on_timeout=nodes.story)
    label(nodes, n2="disk=ssd")
    nodes.until_running("web", 1)
    assert nodes.spread("web") == {"n2": 1}


def test_a_task_leaves_a_node_that_loses_the_label_it_needs(nodes: PlaygroundHost) -> None:
    label(nodes, n2="disk=ssd")
    nodes.create("web", "--constraint", "node.labels.disk==ssd", "--restart-delay", "0s", *SLEEPER)
    nodes.until_running("web", 1)
    label(nodes, n3="disk=ssd")
    nodes.ok("node", "update", "--label-rm", "disk", "n2")
    nodes.until_running("web", 1, but_on="n2")
    nodes.until_settled("web", 1)


def test_preferences_even_out_zones_before_nodes(nodes: PlaygroundHost) -> None:
    label(nodes, n1="zone=a", n2="zone=a", n3="zone=b")
    preference = ("--placement-pref", "spread=node.labels.zone")
    nodes.create("web", "--replicas", "8", *preference, *SLEEPER)
    nodes.until_running("web", 8)
    assert nodes.spread("web") == {"n1": 2, "n2": 2, "n3": 4}


def test_no_more_replicas_on_a_node_than_allowed(nodes: PlaygroundHost) -> None:
    nodes.create("web", "--replicas", "7", "--replicas-max-per-node", "2", *SLEEPER)
    sentence = "no suitable node (max replicas per node limit exceed)"
    until(lambda: nodes.why_pending("web") == sentence, on_timeout=nodes.story)
    until(lambda: nodes.spread("web") == {"n1": 2, "n2": 2, "n3": 2}, on_timeout=nodes.story)


def test_a_host_mode_port_is_taken_once_on_each_node(nodes: PlaygroundHost) -> None:
    port = ("--publish", "mode=host,target=5000,published=8080")
    nodes.create("web", "--replicas", "4", *port, *SLEEPER)
    sentence = "no suitable node (host-mode port already in use on 3 nodes)"
    until(lambda: nodes.why_pending("web") == sentence, on_timeout=nodes.story)
    until(lambda: nodes.spread("web") == {"n1": 1, "n2": 1, "n3": 1}, on_timeout=nodes.story)


def test_reservations_fill_a_node_and_no_more(nodes: PlaygroundHost) -> None:
    """Every node has all processors of this machine."""
    cpus = nodes.get("/info")["NCPU"]
    nodes.create("big", "--replicas", "4", "--reserve-cpu", str(cpus * 0.6), *SLEEPER)
    sentence = "no suitable node (insufficient resources on 3 nodes)"
    until(lambda: nodes.why_pending("big") == sentence, on_timeout=nodes.story)
    until(lambda: nodes.spread("big") == {"n1": 1, "n2": 1, "n3": 1}, on_timeout=nodes.story)
