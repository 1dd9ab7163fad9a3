"""The figures of a manager that is given very many tasks at once, and is asked things meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench import calls
from bench.api import Api
from bench.crowd import crowd, descriptors_allowed, processor_s
from bench.engines import Skep
from bench.figures import SKEP, Results
from bench.progress import say
from bench.waiting import seconds, wait_until
from bench.workshop import Workshop
from skep.testing.fleet import Fleet

AGENTS, SERVICES, REPLICAS = 1_000, 4, 25_000
_PATIENCE_S = 240.0
_LOOK_S, _ASK_EACH_S = 0.2, 0.02
_SETTLE_S = 5.0


def measure(workshop: Workshop, results: Results) -> None:
    """Once: services of 100,000 tasks are made, and a node is asked for all the while."""
    if not descriptors_allowed(AGENTS):
        return
    with crowd(workshop, AGENTS) as (engine, fleet):
        time.sleep(_SETTLE_S)
        before_s = processor_s(engine)
        with asking(engine) as waits:
            made_s = seconds(lambda: _create(engine), lambda: _wait_until_all_run(engine, fleet))
        results.add("many tasks", SKEP, made_s)
        results.add("many tasks processor", SKEP, processor_s(engine) - before_s)
        results.add("many tasks asked", SKEP, 1_000 * percentile(waits, 0.5))
        results.add("many tasks asked late", SKEP, 1_000 * percentile(waits, 0.99))
        say(f"many tasks: the longest of {len(waits)} answers took {max(waits):.2f} s")


@contextmanager
def asking(engine: Skep) -> Iterator[list[float]]:
    """Ask for a node, each 20 ms; how long the answers took.

    An answer that is late is so for those too who would have asked meanwhile (HdrHistogram's
    correction of coordinated omission).
    """
    waits: list[float] = []
    over = threading.Event()
    api = Api(engine.api.path)
    path = f"/nodes/{calls.ready_nodes(api)[0]}"

    def ask() -> None:
        while not over.is_set():
            took_s = api.seconds_to_get(path)
            waits.append(took_s)
            while (took_s := took_s - _ASK_EACH_S) > 0:
                waits.append(took_s)
            time.sleep(-took_s)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield waits
    finally:
        over.set()
        thread.join()
        api.close()


def percentile(samples: list[float], share: float) -> float:
    """The smallest sample that so large a share of them does not exceed."""
    return sorted(samples)[max(0, round(share * len(samples)) - 1)]


def _create(engine: Skep) -> None:
    for number in range(SERVICES):
        calls.create_service(engine.api, f"many{number}", REPLICAS)


def _wait_until_all_run(engine: Skep, fleet: Fleet) -> None:
    """The agents know first; then the manager is asked whether it has heard so of all."""
    total = SERVICES * REPLICAS

    def all_run() -> bool:
        if fleet.census.tasks < total:
            return False
        services = engine.api.get("/services", status="1")
        return total == sum(int(each["ServiceStatus"]["RunningTasks"]) for each in services)

    wait_until(all_run, _PATIENCE_S, f"not {total} tasks run", _LOOK_S)
