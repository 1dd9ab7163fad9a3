"""The manager's daemon is killed -9 in the middle of its work, at random moments."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

from skep.playground import machine
from skep.testing.daemon import until
from skep.testing.playground import SLEEPER, PlaygroundHost

REPLICAS = 100
KILLS = 10
MEMORY_MIB = 100


def kill_daemon(nodes: PlaygroundHost, name: str) -> None:
    """kill -9; wait until the node's first process has started another, which is not yet ready."""
    killed = nodes.daemon_pid(name)
    os.kill(killed, signal.SIGKILL)
    until(lambda: machine.daemon_of(nodes.place(name)) not in (0, killed))


def chance() -> random.Random:
    """From the seed in SKEP_SEED, or a new one, which a failed test shows."""
    seed = int(os.environ.get("SKEP_SEED", time.time_ns() % 1_000_000))
    print(f"SKEP_SEED={seed}")
    return random.Random(seed)


def pss_mib(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    assert found is not None
    return int(found[1]) // 1024


def test_a_scale_to_a_hundred_survives_ten_kills_of_the_manager(nodes: PlaygroundHost) -> None:
    """Exactly a hundred run, each slot once, wherever the kills fell: also while it starts."""
    moments = chance()
    nodes.create("web", "--replicas", "0", *SLEEPER)
    nodes.ok("service", "scale", "--detach", f"web={REPLICAS}")
    for _ in range(KILLS):
        time.sleep(moments.uniform(0.0, 0.6))
        kill_daemon(nodes, "n1")
    nodes.until_answers("n1")
    nodes.until_running("web", REPLICAS)
    nodes.until_settled("web", REPLICAS)
    assert {task["Slot"] for task in nodes.running("web")} == set(range(1, REPLICAS + 1))
    memory = {name: pss_mib(nodes.daemon_pid(name)) for name in nodes.names}
    print(f"PSS of the daemons, MiB: {memory}")
    assert max(memory.values()) <= MEMORY_MIB


def test_a_scale_down_survives_kills_of_every_daemon(nodes: PlaygroundHost) -> None:
    moments = chance()
    nodes.create("web", "--replicas", "30", *SLEEPER)
    nodes.until_running("web", 30)
    nodes.ok("service", "scale", "--detach", "web=6")
    for name in moments.sample(nodes.names, 3):
        time.sleep(moments.uniform(0.0, 0.15))
        kill_daemon(nodes, name)
    for name in nodes.names:
        nodes.until_answers(name)
    nodes.until_settled("web", 6)


def test_while_the_manager_is_away_containers_run_on_and_nodes_that_wait_come_back(
    nodes: PlaygroundHost,
) -> None:
    nodes.create("web", "--replicas", "6", "--restart-delay", "0s", *SLEEPER)
    nodes.until_running("web", 6)
    before = {name: nodes.containers(name, running=True) for name in nodes.names}
    nodes.kill("n1")
    time.sleep(1.0)
    for name in ("n2", "n3"):
        assert nodes.containers(name, running=True) == before[name]
    nodes.start("n1")
    until(
        lambda: {nodes.node_state(name) for name in nodes.names} == {"ready"},
        on_timeout=nodes.story,
    )
    nodes.until_settled("web", 6)
    for name in ("n2", "n3"):
        assert before[name] <= nodes.containers(name, running=True)


def test_what_bears_the_daemon_s_name_is_not_taken_for_it(nodes: PlaygroundHost) -> None:
    """As every fork of the daemon does until it executes a program of its own."""
    daemon = nodes.daemon_pid("n3")
    words = 'printf "skep n3" >/proc/$$/comm; echo named; read word'
    enter = ["nsenter", "-t", str(daemon), "-m", "-n", "-p", "--"]
    with subprocess.Popen(
        [*enter, "sh", "-c", words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as namesake:
        assert namesake.stdout is not None
        assert namesake.stdout.readline() == b"named\n"
        bearers = [
            pid
            for pid in machine.processes_in([nodes.place("n3").netns])
            if Path(f"/proc/{pid}/comm").read_text() == "skep n3\n"
        ]
        assert len(bearers) > 1
        assert nodes.daemon_pid("n3") == daemon
        kill_daemon(nodes, "n3")
        assert nodes.daemon_pid("n3") not in bearers
        namesake.communicate()
    nodes.until_answers("n3")
