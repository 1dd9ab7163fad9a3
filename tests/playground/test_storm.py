"""Everything that can happen to nodes, one after another, as a seed has it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

from skep.testing.daemon import until
from skep.testing.playground import SLEEPER, PlaygroundHost

EVENTS = 12


class Storm:
    """Does to a playground what it is told, where that is possible now."""

    def __init__(self, nodes: PlaygroundHost, chance: random.Random) -> None:
        self.nodes = nodes
        self.chance = chance
        self.off: set[str] = set()
        self.replicas = 9
        self.story: list[str] = []

    def happen(self) -> None:
        """One event."""
        events: list[Callable[[str], object]] = [
            self.kill, self.start, self.cut, self.heal, self.kill_daemon, self.pause,
            self.scale, self.drain, self.activate, self.update,
        ]  # fmt: skip
        event, name = self.chance.choice(events), self.chance.choice(self.nodes.names)
        self.story.append(f"{event.__name__} {name}")
        event(name)

    def end(self) -> None:
        """The sky clears: every node is on, connected and active."""
        self.nodes.heal()
        self.start("")
        for name in self.nodes.names:
            self.nodes.until_answers(name)
        for name in self.nodes.names:
            self.nodes.until_state(name, "ready")
            self.activate(name)

    def insist(self, *words: str) -> None:
        """Docker's client says what it read, changed; somebody may have written meanwhile."""
        until(lambda: self.nodes.docker(*words).code == 0, on_timeout=self.nodes.story)

    def kill(self, name: str) -> None:
        self.nodes.kill(name)
        self.off.add(name)

    def start(self, _: str) -> None:
        if self.off:
            self.nodes.start(*self.off)
            self.off.clear()

    def cut(self, name: str) -> None:
        self.nodes.partition(name)

    def heal(self, _: str) -> None:
        self.nodes.heal()

    def kill_daemon(self, name: str) -> None:
        if name not in self.off:
            os.kill(self.nodes.daemon_pid(name), signal.SIGKILL)
            self.nodes.until_answers(name)

    def pause(self, name: str) -> None:
        if name not in self.off:
            daemon = self.nodes.daemon_pid(name)
            os.kill(daemon, signal.SIGSTOP)
            time.sleep(self.chance.uniform(0.0, 3.5))
            os.kill(daemon, signal.SIGCONT)

    def scale(self, _: str) -> None:
        if "n1" not in self.off:
            self.replicas = self.chance.randint(0, 20)
            self.insist("service", "scale", "--detach", f"web={self.replicas}")

    def drain(self, name: str) -> None:
        if "n1" not in self.off:
            self.insist("node", "update", "--availability", "drain", name)

    def activate(self, name: str) -> None:
        if "n1" not in self.off:
            self.insist("node", "update", "--availability", "active", name)

    def update(self, _: str) -> None:
        if "n1" not in self.off:
            order = self.chance.choice(["start-first", "stop-first"])
            settings = ("--update-order", order, "--update-parallelism", "3")
            self.insist("service", "update", "--detach", "--force", *settings, "web")


def test_after_a_storm_everything_runs_once_and_nothing_else(nodes: PlaygroundHost) -> None:
    seed = int(os.environ.get("SKEP_SEED", time.time_ns() % 1_000_000))
    print(f"SKEP_SEED={seed}")
    storm = Storm(nodes, random.Random(seed))
    nodes.create("web", "--replicas", "9", "-p", "8080:5000", "--restart-delay", "0s", *SLEEPER)
    try:
        for _ in range(EVENTS):
            storm.happen()
            time.sleep(storm.chance.uniform(0.0, 0.8))
    finally:
        print("; ".join(storm.story))
        storm.end()
    nodes.until_settled("web", storm.replicas)
