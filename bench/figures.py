"""What is measured, and what is to be reached: values."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Literal

SKEP, DOCKERD, BARE = "skep", "dockerd", "bare loop"
PEERS = (DOCKERD, BARE)

Unit = Literal["s", "ms", "MiB", "%"]


@dataclass(frozen=True)
class Goal:
    """At most `most` times what `peer` needs; without a peer, at most `most` of the unit."""

    most: float
    peer: str = ""


@dataclass(frozen=True)
class Figure:
    key: str
    title: str
    unit: Unit
    goals: tuple[Goal, ...] = ()


ONE_MACHINE = (
    Figure("up", "1 to 50 replicas, all running", "s", (Goal(0.1, DOCKERD), Goal(2.0, BARE))),
    Figure("down", "50 replicas to 0, containers gone", "s", (Goal(0.2, DOCKERD),)),
    Figure("published", "1 to 50 replicas with a published port", "s"),
    Figure("killed", "killed container running again", "s", (Goal(1 / 3, DOCKERD),)),
    Figure("idle", "memory idle (PSS)", "MiB", (Goal(60),)),
    Figure("each", "memory for each container (PSS)", "MiB", (Goal(1.5),)),
    Figure("services", "GET /services, 200 services", "ms", (Goal(1.0, DOCKERD),)),
    Figure("tasks", "GET /tasks, 100 tasks", "ms", (Goal(1.0, DOCKERD),)),
    Figure("help", "--help, whole process", "ms", (Goal(150),)),
    Figure("ls", "service ls, whole process", "ms", (Goal(150),)),
)

MANY_NODES = (
    Figure("join", "three nodes up and joined", "s", (Goal(3.0),)),
    Figure("spread", "30 replicas over three nodes", "s", (Goal(1.5),)),
    Figure("drain", "drain moves 10 tasks", "s", (Goal(1.0),)),
    Figure("loss", "node killed, its tasks elsewhere", "s", (Goal(5.0),)),
)

CROWD = (
    Figure("crowd", "5,000 agents back after kill -9 of the manager", "s", (Goal(60),)),
    Figure("crowd memory", "manager's memory meanwhile, at most (PSS)", "MiB", (Goal(600),)),
    Figure("beats", "5,000 agents' heartbeats, of a core", "%", (Goal(5.0),)),
)

MANY_TASKS = (
    Figure("many tasks", "100,000 tasks on 1,000 agents reported running", "s", (Goal(12.0),)),
    Figure("many tasks processor", "manager's processor time for them", "s"),
    Figure("many tasks asked", "GET /nodes/<id> meanwhile, median", "ms"),
    Figure("many tasks asked late", "GET /nodes/<id> meanwhile, 99 in 100", "ms", (Goal(100),)),
)

FIGURES = ONE_MACHINE + MANY_NODES + CROWD + MANY_TASKS


@dataclass
class Results:
    """Every sample, by figure and by who was measured."""

    samples: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, key: str, who: str, value: float) -> None:
        self.samples[key, who].append(value)

    def median(self, key: str, who: str) -> float | None:
        found = self.samples.get((key, who))
        return statistics.median(found) if found else None

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {"figure": figure.key, "title": figure.title, "unit": figure.unit, "who": who,
             "median": self.median(figure.key, who), "samples": self.samples[figure.key, who]}
            for figure in FIGURES
            for who in (SKEP, *PEERS)
            if (figure.key, who) in self.samples
        ]  # fmt: skip
