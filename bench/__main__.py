"""`make bench`: measure in turns, print the ratios."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import crowd, many_nodes, many_tasks, one_machine, table
from bench.engines import dockerd_is_installed
from bench.figures import Results
from bench.workshop import workshop

_ROUNDS, _CLUSTER_ROUNDS, _QUICK_ROUNDS = 3, 2, 1
_PROGRAMS = ("runc", "conmon", "dockerd")


def main() -> int:
    options = _options()
    if os.geteuid():
        print("the benchmark runs real containers: run it as root", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rounds = _QUICK_ROUNDS if options.quick else _ROUNDS
    machine, results = _machine(), Results()
    with workshop() as place:
        one_machine.measure(place, rounds, results)
        many_nodes.measure(place, min(rounds, _CLUSTER_ROUNDS), results)
        crowd.measure(place, results)
        many_tasks.measure(place, results)
    print(_heading(machine))
    print(table.render(results))
    if options.json:
        document = {"machine": machine, "rounds": rounds, "figures": results.as_json()}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    for title in table.missed(results):
        print(f"not reached: {title}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round instead of three")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to FILE")
    return parser.parse_args()


def _machine() -> dict[str, Any]:
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
        "programs": {name: _version(name) for name in _PROGRAMS},
    }


def _version(program: str) -> str:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        return "not installed"
    return said.stdout.splitlines()[0]


def _heading(machine: dict[str, Any]) -> str:
    peer = "" if dockerd_is_installed() else "\ndockerd is not installed: `make bench PEER=1`"
    return (
        f"{machine['cpus']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
        f"Python {machine['python']}, load {machine['load']} at the start{peer}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
