"""The figures of three nodes: a playground, and three dockerds on one Ethernet segment."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from bench import calls
from bench.api import Api
from bench.engines import SKEP_COMMAND, Dockerd, dockerd_is_installed
from bench.figures import DOCKERD, SKEP, Results
from bench.program import kill_all
from bench.progress import say
from bench.waiting import seconds, wait_until
from bench.workshop import Workshop

NODES = 3
REPLICAS = 30
_SETTLE_S = 3.0
_JOIN_PATIENCE_S = 60.0
_PLAYGROUND = "bench"
_SERVICE = "spread"
_LOST, _DRAINED = 1, 2
"""Which node is killed and which is drained: never the first, the manager."""


class Cluster(Protocol):
    """Three nodes; the first is the manager."""

    name: str
    apis: list[Api]

    def up(self) -> None: ...

    def kill(self, number: int) -> None:
        """All that runs on a node, 0 the first, dies at once."""
        ...

    def down(self) -> None: ...


class Playground:
    name = SKEP

    def __init__(self) -> None:
        self.apis: list[Api] = []
        self._skep("down")  # what a run that was killed may have left

    def up(self) -> None:
        said = self._skep("up", "--nodes", str(NODES), "--format", "{{.DockerHost}}")
        hosts = [line for line in said.splitlines() if line.startswith("DOCKER_HOST=")]
        self.apis = [Api(Path(host.partition("unix://")[2])) for host in hosts]

    def kill(self, number: int) -> None:
        self._skep("kill", f"n{number + 1}")

    def down(self) -> None:
        self._skep("down")

    def _skep(self, verb: str, *words: str) -> str:
        argv = [SKEP_COMMAND, "playground", verb, "--name", _PLAYGROUND, *words]
        return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


class Dockerds:
    name = DOCKERD

    def __init__(self, workshop: Workshop) -> None:
        self._nodes = [Dockerd(place) for place in workshop.neighbours(NODES)]
        self.apis = [node.api for node in self._nodes]

    def up(self) -> None:
        with ThreadPoolExecutor(NODES) as pool:
            list(pool.map(Dockerd.start, self._nodes))
            manager, *workers = self._nodes
            calls.init_swarm(manager.api, manager.place.address)
            token = calls.worker_token(manager.api)

            def join(worker: Dockerd) -> None:
                calls.join_swarm(worker.api, worker.place.address, manager.place.address, token)

            list(pool.map(join, workers))
        wait_until(
            lambda: len(calls.ready_nodes(manager.api)) == NODES, _JOIN_PATIENCE_S, "no cluster"
        )

    def kill(self, number: int) -> None:
        node = self._nodes[number]
        kill_all([*node.place.processes(), *node.place.contained()])

    def down(self) -> None:
        for node in reversed(self._nodes):
            node.stop()
            node.place.clear()


def measure(workshop: Workshop, rounds: int, results: Results) -> None:
    for number in range(1, rounds + 1):
        for cluster in _clusters(workshop):
            say(f"three nodes, round {number} of {rounds}: {cluster.name}")
            try:
                results.add("join", cluster.name, seconds(cluster.up))
                for api in cluster.apis:
                    api.load(workshop.image)
                _measure_cluster(cluster, results)
            finally:
                cluster.down()


def _clusters(workshop: Workshop) -> list[Cluster]:
    peers: list[Cluster] = [Dockerds(workshop)] if dockerd_is_installed() else []
    return [Playground(), *peers]


def _measure_cluster(cluster: Cluster, results: Results) -> None:
    api, who = cluster.apis[0], cluster.name
    drained, lost = (_node_id(cluster.apis[number]) for number in (_DRAINED, _LOST))
    time.sleep(_SETTLE_S)
    spread_s = seconds(
        lambda: calls.create_service(api, _SERVICE, REPLICAS),
        lambda: calls.wait_running(api, _SERVICE, REPLICAS),
    )
    results.add("spread", who, spread_s)

    drain_s = seconds(
        lambda: calls.set_availability(api, drained, "drain"),
        lambda: calls.wait_running(api, _SERVICE, REPLICAS, but_on=drained),
    )
    results.add("drain", who, drain_s)

    calls.set_availability(api, drained, "active")
    time.sleep(_SETTLE_S)
    loss_s = seconds(
        lambda: cluster.kill(_LOST),
        lambda: calls.wait_running(api, _SERVICE, REPLICAS, but_on=lost),
    )
    results.add("loss", who, loss_s)


def _node_id(api: Api) -> str:
    return str(api.get("/info")["Swarm"]["NodeID"])
