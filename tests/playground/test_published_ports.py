"""Published ports of many nodes: each answers for the tasks that it has itself."""

from __future__ import annotations

from functools import partial

import pytest

from skep.testing.daemon import until
from skep.testing.playground import WEB, PlaygroundHost

ADDRESSES = {"n1": "10.213.0.1", "n2": "10.213.0.2", "n3": "10.213.0.3"}


def hostnames_on(nodes: PlaygroundHost, name: str) -> set[str]:
    """Of the service's containers on the node: what WEB says when it is asked."""
    containers = nodes.get("/containers/json", name)
    return {container["Id"][:12] for container in containers}


def until_answered(
    nodes: PlaygroundHost, source: str, target: str, port: int, expected: set[str]
) -> None:
    until(lambda: answered(nodes, source, target, port) == expected)


def asked(nodes: PlaygroundHost, source: str, target: str, port: int) -> set[str]:
    """Who answers one of many questions from one node to another."""
    with nodes.at(source):
        return {nodes.hostname_at(ADDRESSES[target], port) for _ in range(24)}


def answered(nodes: PlaygroundHost, source: str, target: str, port: int) -> set[str]:
    """The same while it is not sure that anybody is there: nobody then."""
    try:
        return asked(nodes, source, target, port)
    except OSError:
        return set()


def answers(nodes: PlaygroundHost, source: str, target: str, port: int) -> bool:
    try:
        with nodes.at(source):
            return bool(nodes.hostname_at(ADDRESSES[target], port))
    except OSError:
        return False


def test_a_node_answers_with_all_its_tasks_whoever_asks(nodes: PlaygroundHost) -> None:
    nodes.create("web", "--replicas", "6", "-p", "8080:5000", "--no-resolve-image", WEB)
    nodes.until_running("web", 6)
    for target in nodes.names:
        until(partial(answers, nodes, "n1", target, 8080))
        for source in nodes.names:
            expected = hostnames_on(nodes, target)
            assert len(expected) == 2
            until_answered(nodes, source, target, 8080, expected)


def test_a_program_in_a_node_reaches_the_ports_of_the_others(nodes: PlaygroundHost) -> None:
    nodes.create("web", "--mode", "global", "-p", "8081:5000", "--no-resolve-image", WEB)
    until(lambda: all(answers(nodes, "n1", name, 8081) for name in nodes.names))
    said = nodes.said(
        "exec", "n2", "--", "busybox", "wget", "-qO-", "http://10.213.0.3:8081/cgi-bin/who"
    )
    hostname, caller, _version = said.split()
    assert {hostname} == hostnames_on(nodes, "n3")
    assert caller.strip("[]").removeprefix("::ffff:") == "10.213.0.2"


def test_a_node_without_tasks_refuses_at_once(nodes: PlaygroundHost) -> None:
    words = ("--constraint", "node.hostname==n2", "-p", "8082:5000", "--no-resolve-image", WEB)
    nodes.create("web", *words)
    nodes.until_running("web", 1)
    until(lambda: answers(nodes, "n1", "n2", 8082))
    for target in ("n1", "n3"):
        with nodes.at("n2"), pytest.raises(ConnectionRefusedError):
            nodes.hostname_at(ADDRESSES[target], 8082)


def test_a_port_follows_its_tasks_when_their_node_is_drained(nodes: PlaygroundHost) -> None:
    words = ("--constraint", "node.role==worker", "-p", "8083:5000", "--no-resolve-image", WEB)
    nodes.create("web", "--replicas", "2", *words)
    nodes.until_running("web", 2)
    until(lambda: answers(nodes, "n1", "n3", 8083))
    nodes.ok("node", "update", "--availability", "drain", "n3")
    nodes.until_running("web", 2, but_on="n3")
    until(lambda: not answers(nodes, "n1", "n3", 8083))
    newest = hostnames_on(nodes, "n2")
    assert len(newest) == 2
    until(lambda: answered(nodes, "n1", "n2", 8083) == newest)


def test_a_host_mode_port_is_open_where_its_task_is(nodes: PlaygroundHost) -> None:
    publish = "mode=host,target=5000,published=8084"
    words = ("--constraint", "node.hostname==n3", "--publish", publish, "--no-resolve-image", WEB)
    nodes.create("web", *words)
    nodes.until_running("web", 1)
    until(lambda: answers(nodes, "n1", "n3", 8084))
    assert asked(nodes, "n2", "n3", 8084) == hostnames_on(nodes, "n3")
    assert not answers(nodes, "n1", "n2", 8084)
