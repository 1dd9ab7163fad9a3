"""A node's own certificate: renewed in good time, expired, or lost. The files of a node that is
switched off are changed as time and bad luck would."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skep.testing.daemon import until
from skep.testing.playground import PlaygroundHost

DAY_S = 24 * 3600.0


@contextmanager
def switched_off(nodes: PlaygroundHost, name: str) -> Iterator[Path]:
    """The folder of the node's identity, while nobody uses it."""
    nodes.kill(name)
    try:
        yield nodes.place(name).data_root / "swarm"
    finally:
        nodes.start(name)


def born(folder: Path, days_ago: float) -> None:
    """The certificate was made so long ago, for 90 days."""
    file = folder / "node.json"
    facts: dict[str, Any] = json.loads(file.read_bytes())
    made = time.time() - days_ago * DAY_S
    file.write_text(json.dumps({**facts, "valid_from_s": made, "valid_until_s": made + 90 * DAY_S}))


def join_words(nodes: PlaygroundHost) -> tuple[str, ...]:
    token = nodes.ok("swarm", "join-token", "-q", "worker")
    return ("swarm", "join", "--token", token, "10.213.0.1:2377")


def test_an_old_certificate_is_renewed_and_the_session_goes_on(nodes: PlaygroundHost) -> None:
    with switched_off(nodes, "n3") as folder:
        before = (folder / "node.pem").read_text()
        born(folder, days_ago=73)
    until(lambda: (folder / "node.pem").read_text() != before, on_timeout=nodes.story)
    nodes.until_state("n3", "ready")
    assert "no session with a manager" not in nodes.log_tail("n3").split("ready on")[-1]


def test_who_was_away_for_longer_than_its_certificate_lives_says_so_and_joins_anew(
    nodes: PlaygroundHost, outsider: str
) -> None:
    words = join_words(nodes)
    nodes.ok(*words, node=outsider)
    with switched_off(nodes, outsider) as folder:
        born(folder, days_ago=91)
    until(lambda: nodes.get("/info", outsider)["Swarm"]["LocalNodeState"] == "error")
    assert "Error: Swarm certificates have expired" in nodes.ok("info", node=outsider)
    nodes.ok("swarm", "leave", node=outsider)
    nodes.ok(*words, node=outsider)
    assert nodes.get("/info", outsider)["Swarm"]["LocalNodeState"] == "active"


def test_a_node_without_its_key_says_so_and_joins_anew(
    nodes: PlaygroundHost, outsider: str
) -> None:
    words = join_words(nodes)
    nodes.ok(*words, node=outsider)
    with switched_off(nodes, outsider) as folder:
        (folder / "node.pem").write_text("")
    says = "the node's certificate cannot be read"
    until(lambda: says in nodes.get("/info", outsider)["Swarm"]["Error"])
    nodes.ok("swarm", "leave", node=outsider)
    nodes.ok(*words, node=outsider)
    assert nodes.get("/info", outsider)["Swarm"]["LocalNodeState"] == "active"
