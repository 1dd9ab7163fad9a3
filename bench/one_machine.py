"""The figures of one node: each round starts a fresh daemon, measures all, and leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import time

from bench import bare, calls
from bench.engines import SKEP_COMMAND, Dockerd, Engine, Skep, dockerd_is_installed, memory_mib
from bench.figures import BARE, SKEP, Results
from bench.progress import say
from bench.waiting import seconds, wait_until
from bench.workshop import Workshop

REPLICAS = 50
SERVICES = 200
_SETTLE_S = 3.0
"""After which a daemon that was just started, or just worked hard, has come to rest."""

_REQUESTS = 40
_PROCESSES = 5
_RESTART_PATIENCE_S = 60.0
_WEB, _PORT = "web", 8000


def measure(workshop: Workshop, rounds: int, results: Results) -> None:
    """In turns, so that a busy minute of the machine is shared by all."""
    for number in range(1, rounds + 1):
        say(f"one machine, round {number} of {rounds}: {BARE}")
        results.add("up", BARE, bare.seconds_to_start(workshop.place(), workshop.image, REPLICAS))
        for engine in _engines(workshop):
            say(f"one machine, round {number} of {rounds}: {engine.name}")
            engine.start()
            try:
                engine.api.load(workshop.image)
                calls.init_swarm(engine.api, engine.place.address)
                _measure_engine(engine, results)
                engine.api.post("/swarm/leave", force="1")
            finally:
                engine.stop()
                engine.place.clear()


def _engines(workshop: Workshop) -> list[Engine]:
    peers: list[Engine] = [Dockerd(workshop.place())] if dockerd_is_installed() else []
    return [Skep(workshop.place()), *peers]


def _measure_engine(engine: Engine, results: Results) -> None:
    api, who = engine.api, engine.name
    time.sleep(_SETTLE_S)
    idle_mib = memory_mib(engine)
    results.add("idle", who, idle_mib)
    calls.create_service(api, _WEB, 1)
    calls.wait_running(api, _WEB, 1)

    results.add("up", who, _seconds_to_grow(engine))
    time.sleep(_SETTLE_S)
    results.add("each", who, (memory_mib(engine) - idle_mib) / REPLICAS)
    results.add("tasks", who, _ms_for_tasks(engine))
    _measure_commands(engine, results)

    down_s = seconds(lambda: calls.scale(api, _WEB, 0), lambda: calls.wait_no_containers(api))
    results.add("down", who, down_s)
    calls.scale(api, _WEB, 1)
    calls.wait_running(api, _WEB, 1)
    results.add("killed", who, _seconds_after_kill(engine))
    calls.remove_services(api, [_WEB])
    results.add("services", who, _ms_for_services(engine))

    calls.create_service(api, _WEB, 1, port=_PORT)
    calls.wait_running(api, _WEB, 1)
    results.add("published", who, _seconds_to_grow(engine))


def _seconds_to_grow(engine: Engine) -> float:
    """From one replica to all."""
    return seconds(
        lambda: calls.scale(engine.api, _WEB, REPLICAS),
        lambda: calls.wait_running(engine.api, _WEB, REPLICAS),
    )


def _seconds_after_kill(engine: Engine) -> float:
    """kill -9 of the only container's first process, until its successor runs."""
    api = engine.api
    victim = calls.running_tasks(api, _WEB)[0]
    pid = calls.pid_of(api, victim)

    def replaced() -> bool:
        return {task["ID"] for task in calls.running_tasks(api, _WEB)} - {victim["ID"]} != set()

    return seconds(
        lambda: os.kill(pid, signal.SIGKILL),
        lambda: wait_until(replaced, _RESTART_PATIENCE_S, "the killed container is not replaced"),
    )


def _ms_for_tasks(engine: Engine) -> float:
    """Half of them run, half have no place."""
    api = engine.api
    present = len(api.get("/tasks"))
    calls.create_service(api, "pending", 2 * REPLICAS - present, startable=False)
    calls.wait_tasks(api, 2 * REPLICAS)
    value = _ms_to_get(engine, "/tasks")
    calls.remove_services(api, ["pending"])
    return value


def _ms_for_services(engine: Engine) -> float:
    names = [f"service-{number}" for number in range(SERVICES)]
    for name in names:
        calls.create_service(engine.api, name, 0)
    assert len(engine.api.get("/services")) == SERVICES
    value = _ms_to_get(engine, "/services")
    calls.remove_services(engine.api, names)
    return value


def _ms_to_get(engine: Engine, path: str) -> float:
    return 1000 * statistics.median(engine.api.seconds_to_get(path) for _ in range(_REQUESTS))


def _measure_commands(engine: Engine, results: Results) -> None:
    """The client's whole process: start, answer, end."""
    program = SKEP_COMMAND if engine.name == SKEP else shutil.which("docker")
    if program is None:
        return
    host = f"unix://{engine.api.path}"
    for key, words in (("help", ["--help"]), ("ls", ["--host", host, "service", "ls"])):
        took = [seconds(lambda: _run([program, *words])) for _ in range(_PROCESSES)]  # noqa: B023
        results.add(key, engine.name, 1000 * statistics.median(took))


def _run(argv: list[str]) -> None:
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
