"""Nodes and the swarm, seen by the unmodified docker client on managers and workers."""

from __future__ import annotations

import json
import re

from skep import __version__
from skep.testing.daemon import until
from skep.testing.playground import SLEEPER, PlaygroundHost

NO_MANAGER = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join"'


def rows(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


def test_nodes_are_listed(nodes: PlaygroundHost) -> None:
    listed = rows(nodes.ok("node", "ls"))
    assert listed[0] == [
        "ID", "HOSTNAME", "STATUS", "AVAILABILITY", "MANAGER STATUS", "ENGINE VERSION",
    ]  # fmt: skip
    assert [row[1:] for row in listed[1:]] == [
        ["n1", "Ready", "Active", "Leader", __version__] if name == "n1"
        else [name, "Ready", "Active", __version__]
        for name in nodes.names
    ]  # fmt: skip
    assert listed[1][0] == f"{nodes.node_id('n1')} *"
    assert nodes.ok("node", "ls", "-q", "--filter", "role=worker").split() == [
        nodes.node_id("n2"),
        nodes.node_id("n3"),
    ]


def test_a_node_is_inspected(nodes: PlaygroundHost) -> None:
    (worker,) = json.loads(nodes.ok("node", "inspect", "n2"))
    assert worker["ID"] == nodes.node_id("n2")
    assert worker["Spec"] == {"Availability": "active", "Role": "worker", "Labels": {}}
    assert worker["Status"] == {"State": "ready", "Addr": "10.213.0.2"}
    assert worker["Description"]["Hostname"] == "n2"
    assert worker["Description"]["Resources"]["NanoCPUs"] > 0
    assert "-----BEGIN CERTIFICATE-----" in worker["Description"]["TLSInfo"]["TrustRoot"]
    assert "ManagerStatus" not in worker
    pretty = nodes.ok("node", "inspect", "--pretty", "self")
    for line in (
        "Hostname:              \tn1",
        " State:\t\t\tReady",
        " Availability:         \tActive",
        " Address:\t\t10.213.0.1:2377",
        " Raft Status:\t\tReachable",
        " Leader:\t\tYes",
    ):
        assert line in pretty


def test_labels_and_availability_are_updated(nodes: PlaygroundHost) -> None:
    nodes.ok("node", "update", "--label-add", "zone=a", "--label-add", "ssd", "n2")
    nodes.ok("node", "update", "--availability", "pause", "n2")
    (worker,) = json.loads(nodes.ok("node", "inspect", "n2"))
    assert worker["Spec"]["Labels"] == {"ssd": "", "zone": "a"}
    assert worker["Spec"]["Availability"] == "pause"
    assert nodes.ok("node", "ls", "-q", "--filter", "node.label=zone=a") == worker["ID"]
    nodes.ok("node", "update", "--label-rm", "zone", "n2")
    (worker,) = json.loads(nodes.ok("node", "inspect", "n2"))
    assert worker["Spec"]["Labels"] == {"ssd": ""}


def test_promotion_is_refused_in_words(nodes: PlaygroundHost) -> None:
    refused = nodes.docker("node", "promote", "n2")
    assert refused.code == 1
    assert "manager" in refused.err
    assert nodes.ok("node", "inspect", "--format", "{{.Spec.Role}}", "n2") == "worker"
    demoted = nodes.docker("node", "demote", "n1")
    assert demoted.code == 1
    assert "attempting to demote the last manager of the swarm" in demoted.err


def test_tasks_are_listed_by_node_and_by_service(nodes: PlaygroundHost) -> None:
    nodes.create("web", "--replicas", "6", *SLEEPER)
    nodes.until_running("web", 6)
    by_node = rows(nodes.ok("node", "ps", "n2"))
    assert by_node[0] == [
        "ID", "NAME", "IMAGE", "NODE", "DESIRED STATE", "CURRENT STATE", "ERROR", "PORTS",
    ]  # fmt: skip
    assert [row[3] for row in by_node[1:]] == ["n2", "n2"]
    by_service = rows(nodes.ok("service", "ps", "--filter", "node=n3", "web"))
    assert [row[3] for row in by_service[1:]] == ["n3", "n3"]
    everywhere = rows(nodes.ok("service", "ps", "web"))
    assert [row[1] for row in everywhere[1:]] == [f"web.{slot}" for slot in range(1, 7)]


def test_the_loss_of_a_node_is_told_in_the_list_of_tasks(nodes: PlaygroundHost) -> None:
    nodes.create("web", "--replicas", "3", *SLEEPER)
    nodes.until_running("web", 3)
    nodes.partition("n3")
    try:
        nodes.until_running("web", 3, but_on="n3")
        shown = nodes.ok("service", "ps", "--format", "{{.Node}} {{.DesiredState}}", "web")
        assert sorted(shown.splitlines())[2:] in (
            ["n1 Running", "n3 Shutdown"],
            ["n2 Running", "n3 Shutdown"],
        )
        shown = nodes.ok("node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.Availability}}")
        assert shown.splitlines() == ["n1 Ready Active", "n2 Ready Active", "n3 Down Active"]
    finally:
        nodes.heal()
        nodes.until_state("n3", "ready")


def test_every_node_tells_the_truth_about_the_swarm(nodes: PlaygroundHost) -> None:
    manager = nodes.get("/info", "n1")["Swarm"]
    assert (manager["Nodes"], manager["Managers"]) == (3, 1)
    assert (manager["ControlAvailable"], manager["LocalNodeState"]) == (True, "active")
    assert manager["NodeAddr"] == "10.213.0.1"
    for name, address in (("n2", "10.213.0.2"), ("n3", "10.213.0.3")):
        worker = nodes.get("/info", name)["Swarm"]
        assert (worker["ControlAvailable"], worker["LocalNodeState"]) == (False, "active")
        assert worker["NodeAddr"] == address
        assert [peer["Addr"] for peer in worker["RemoteManagers"]] == ["10.213.0.1:2377"]
        assert worker["Error"] == ""
        assert " Swarm: active" in nodes.ok("info", node=name)


def test_a_worker_says_that_it_is_no_manager(nodes: PlaygroundHost) -> None:
    for words in (("node", "ls"), ("service", "ls"), ("swarm", "join-token", "worker")):
        refused = nodes.docker(*words, node="n2")
        assert refused.code == 1
        assert NO_MANAGER in refused.err or "not a swarm manager" in refused.err


def test_a_member_neither_joins_nor_begins_another_swarm(nodes: PlaygroundHost) -> None:
    token = nodes.ok("swarm", "join-token", "-q", "worker")
    assert re.fullmatch(r"SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}", token)
    for words in (("swarm", "init"), ("swarm", "join", "--token", token, "10.213.0.1:2377")):
        refused = nodes.docker(*words, node="n2")
        assert refused.code == 1
        assert "This node is already part of a swarm" in refused.err


def test_a_rotated_token_lets_nobody_in_with_the_old_one(nodes: PlaygroundHost) -> None:
    nodes.ok("swarm", "leave", node="n3")
    old = nodes.ok("swarm", "join-token", "-q", "worker")
    new = nodes.ok("swarm", "join-token", "-q", "--rotate", "worker")
    assert new != old
    refused = nodes.docker("swarm", "join", "--token", old, "10.213.0.1:2377", node="n3")
    assert refused.code == 1
    assert "join token" in refused.err
    nodes.until_state("n3", "down")
    nodes.ok("node", "rm", "n3")
    nodes.ok("swarm", "join", "--token", new, "10.213.0.1:2377", node="n3")
    nodes.until_state("n3", "ready")


def test_what_an_engine_declares_is_told_and_placed_by(nodes: PlaygroundHost) -> None:
    """Labels and resources of a kind of their own, in the node's daemon.json."""
    place = nodes.place("n2")
    nodes.kill("n2")
    settings = {"node-generic-resources": ["gpu=A", "gpu=B", "ssd=3"], "labels": ["disk=nvme"]}
    place.settings.write_text(json.dumps(settings))
    try:
        nodes.start("n2")
        until(lambda: "GenericResources" in _resources(nodes, "n2"), on_timeout=nodes.story)
        nodes.create("train", "--replicas", "3", "--generic-resource", "gpu=1", *SLEEPER)
        until(lambda: nodes.spread("train") == {"n2": 2}, on_timeout=nodes.story)
        sentence = "no suitable node (insufficient resources on 3 nodes)"
        until(lambda: nodes.why_pending("train") == sentence, on_timeout=nodes.story)
        given = {
            nodes.ok("exec", container["Id"], "sh", "-c", "echo $DOCKER_RESOURCE_GPU", node="n2")
            for container in nodes.get("/containers/json", "n2")
        }
        assert given == {"A", "B"}
        assert nodes.ok("node", "ls", "-q", "--filter", "label=disk=nvme") == nodes.node_id("n2")
        nodes.create(
            "fast", "--replicas", "2", "--constraint", "engine.labels.disk==nvme", *SLEEPER
        )
        nodes.until_running("fast", 2)
        assert nodes.spread("fast") == {"n2": 2}
    finally:
        nodes.kill("n2")
        place.settings.write_text("{}")
        nodes.start("n2")
        nodes.until_state("n2", "ready")


def _resources(nodes: PlaygroundHost, name: str) -> dict[str, object]:
    node = nodes.get(f"/nodes/{nodes.node_id(name)}")
    resources: dict[str, object] = node["Description"]["Resources"]
    return resources
