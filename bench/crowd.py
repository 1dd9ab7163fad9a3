"""The figures of a manager with thousands of nodes: agents without containers, over real TLS."""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import calls, memory
from bench.engines import Skep
from bench.figures import SKEP, Results
from bench.progress import say
from bench.waiting import seconds, wait_until
from bench.workshop import Workshop
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing.fleet import Fleet, enrol

AGENTS, REPLICAS = 5_000, 10_000
_PROCESSES = 2
_DESCRIPTORS = 3
"""Open files for each agent: the manager's, the agent's, and one to spare."""
_PATIENCE_S = 180.0
_SETTLE_S, _LISTEN_S = 10.0, 15.0
_EACH_S = 0.5


def measure(workshop: Workshop, results: Results) -> None:
    """Once: the manager is killed and started again, and all its agents come back at once."""
    if not descriptors_allowed(AGENTS):
        return
    with crowd(workshop, AGENTS) as (engine, fleet):
        calls.create_service(engine.api, "crowd", REPLICAS)
        until(lambda: fleet.census.tasks == REPLICAS)
        say(f"a crowd: {REPLICAS} tasks are there, the manager is killed")
        _measure_return(engine, fleet, results)


@contextmanager
def crowd(workshop: Workshop, agents: int) -> Iterator[tuple[Skep, Fleet]]:
    """A manager that runs nothing itself, and so many agents in session."""
    say(f"a crowd: {agents} agents")
    engine = Skep(workshop.place())
    with tempfile.TemporaryDirectory(prefix="skep-crowd-") as folder:
        engine.start()
        try:
            fleet = _gathered(engine, Path(folder), agents)
            try:
                until(lambda: fleet.census.complete == agents)
                yield engine, fleet
            finally:
                fleet.close()
        finally:
            engine.stop()
            engine.place.clear()


def _gathered(engine: Skep, folder: Path, agents: int) -> Fleet:
    place = engine.place
    calls.init_swarm(engine.api, place.address)
    calls.set_availability(engine.api, engine.api.get("/info")["Swarm"]["NodeID"], "drain")
    engine.stop()
    asyncio.run(_enrol(place.data / "skep" / "swarm" / "store.db", folder, agents))
    engine.start()
    return Fleet(
        folder, f"{place.address}:2377", agents, _PROCESSES,
        ["nsenter", f"--net=/proc/self/fd/{place.namespace}", "--"], [place.namespace],
    )  # fmt: skip


def _measure_return(engine: Skep, fleet: Fleet, results: Results) -> None:
    peak_mib = 0.0

    def all_are_back() -> bool:
        nonlocal peak_mib
        peak_mib = max(peak_mib, memory.pss_mib(engine.place.processes()))
        return fleet.census.complete == AGENTS and fleet.census.tasks >= REPLICAS

    engine.kill()
    until(lambda: not fleet.census.sessions)
    back_s = seconds(engine.start, lambda: until(all_are_back))
    if moved := fleet.census.tasks - REPLICAS:
        say(f"a crowd: {moved} tasks moved, because nodes that came back were taken for lost")
    results.add("crowd", SKEP, back_s)
    results.add("crowd memory", SKEP, peak_mib)
    time.sleep(_SETTLE_S)
    lost, before_s = fleet.census.lost, processor_s(engine)
    time.sleep(_LISTEN_S)
    results.add("beats", SKEP, 100 * (processor_s(engine) - before_s) / _LISTEN_S)
    if more := fleet.census.lost - lost:
        say(f"a crowd: {more} sessions were lost though nothing happened")


async def _enrol(database: Path, folder: Path, agents: int) -> None:
    """While no daemon uses the store: asking to join has a rate, five thousand take minutes."""
    store = Primary(SqliteLog(database))
    await store.start()
    try:
        await enrol(store, folder, agents)
    finally:
        await store.close()


def until(condition: Callable[[], bool]) -> None:
    wait_until(condition, _PATIENCE_S, "not all agents are there", _EACH_S)


def descriptors_allowed(agents: int) -> bool:
    """For us and whatever we start; said when they are too few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    needed = _DESCRIPTORS * agents
    if most < needed:
        say(f"a crowd: left out, because {needed} open files are not allowed (ulimit -Hn)")
    return most >= needed


def processor_s(engine: Skep) -> float:
    """What the daemon and its helpers have used until now."""
    return memory.processor_s(engine.place.processes())
