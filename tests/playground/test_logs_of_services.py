"""The lines of a service's tasks, gathered from all nodes."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator

from skep.testing.daemon import until
from skep.testing.playground import WEB, PlaygroundHost

SAY = 'trap "exit 0" TERM; echo "hello from $NAME"; while :; do sleep 0.1; done'


def create_talker(nodes: PlaygroundHost, *words: str) -> None:
    """Each task says its node's name and waits."""
    env = ("--env", "NAME={{.Node.Hostname}} {{.Task.Slot}}")
    nodes.create("talk", *words, *env, "--no-resolve-image", WEB, "sh", "-c", SAY)


def lines(text: str) -> set[str]:
    """`talk.1.abc@n1    | hello from n1 1` without its first half."""
    return {line.partition("| ")[2] for line in text.splitlines()}


@contextlib.contextmanager
def followed(nodes: PlaygroundHost, *words: str) -> Iterator[list[str]]:
    """Lines of `docker service logs --follow`, as they come."""
    seen: list[str] = []
    client = nodes.begin("service", "logs", "--follow", *words)

    def read(client: subprocess.Popen[str]) -> None:
        assert client.stdout is not None
        seen.extend(line.rstrip("\n") for line in client.stdout)

    reader = threading.Thread(target=read, args=(client,))
    reader.start()
    try:
        yield seen
    finally:
        client.terminate()
        client.wait(10)
        reader.join(10)
        assert client.stdout is not None
        client.stdout.close()


def test_lines_of_all_nodes_are_gathered(nodes: PlaygroundHost) -> None:
    create_talker(nodes, "--replicas", "6")
    nodes.until_running("talk", 6)
    expected = {
        f"hello from {nodes.node_names()[task['NodeID']]} {task['Slot']}"
        for task in nodes.running("talk")
    }
    until(lambda: lines(nodes.ok("service", "logs", "talk")) == expected)
    first = nodes.ok("service", "logs", "talk").splitlines()[0]
    name, _, rest = first.partition("@")
    assert name.startswith("talk.")
    assert rest.split()[0] in nodes.names


def test_the_lines_of_one_task_are_read_where_it_runs(nodes: PlaygroundHost) -> None:
    create_talker(nodes, "--replicas", "3")
    nodes.until_running("talk", 3)
    task = next(t for t in nodes.running("talk") if t["NodeID"] == nodes.node_id("n3"))
    expected = {f"hello from n3 {task['Slot']}"}
    until(lambda: lines(nodes.ok("service", "logs", task["ID"])) == expected)


def test_following_hears_tasks_that_come_later_on_other_nodes(nodes: PlaygroundHost) -> None:
    create_talker(nodes, "--replicas", "1", "--constraint", "node.hostname==n2")
    nodes.until_running("talk", 1)
    with followed(nodes, "talk") as seen:
        until(lambda: lines("\n".join(seen)) == {"hello from n2 1"})
        nodes.ok("service", "update", "--detach", "--constraint-rm", "node.hostname==n2", "talk")
        nodes.ok("service", "scale", "--detach", "talk=3")
        nodes.until_running("talk", 3)
        expected = {
            f"hello from {nodes.node_names()[task['NodeID']]} {task['Slot']}"
            for task in nodes.running("talk")
        }
        assert len(expected) == 3
        until(lambda: expected <= lines("\n".join(seen)), on_timeout=lambda: "\n".join(seen))


def test_a_node_that_cannot_be_asked_is_told_at_the_end(nodes: PlaygroundHost) -> None:
    """Also when it goes away while it is asked: its lines end, not the reading."""
    create_talker(nodes, "--mode", "global")
    until(lambda: len(nodes.running("talk")) == 3)
    until(lambda: len(lines(nodes.ok("service", "logs", "talk"))) == 3)
    lost = nodes.node_id("n3")
    nodes.partition("n3")
    try:
        read = nodes.docker("service", "logs", "talk")
        assert {line.split()[2] for line in lines(read.out)} == {"n1", "n2"}
        assert "warning: incomplete log stream" in read.err + read.out

        nodes.until_state("n3", "down")
        read = nodes.docker("service", "logs", "talk")
        assert {line.split()[2] for line in lines(read.out)} == {"n1", "n2"}
        assert (
            "warning: incomplete log stream. some logs could not be retrieved for the following "
            f"reasons: node {lost} is not available"
        ) in read.err + read.out
    finally:
        nodes.heal()
        nodes.until_state("n3", "ready")
    until(lambda: len(lines(nodes.ok("service", "logs", "talk"))) == 3)
