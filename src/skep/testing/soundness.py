"""What holds after every test of a daemon, whatever the test was about.

    faults(host)      what is wrong now, and what the daemon's log tells of since it was asked last.
    burdens(host)     what an idle daemon should not carry with it.

A test that makes a daemon stumble on purpose names its words first: `host.expected_in_log`.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from skep.testing.modes import readable_by_others

if TYPE_CHECKING:
    from skep.testing.daemon import DaemonHost

_PATIENCE_S = 5.0
"""What just ended is said to run for a moment longer, and a child waits to be reaped."""
_POLL_S = 0.05
_FILES, _THREADS = 200, 64
"""More than a manager with no container ever held."""

LOUD = re.compile(
    r"Traceback \(most recent call last\)|exception was never retrieved|was never awaited"
    r"|Task was destroyed|failed and is started again|Exception ignored in"
)
_RECORD = re.compile(r"^(?=time=\S+ level=)", re.MULTILINE)


class GrowingLog:
    """A daemon's log, read piece by piece."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen_bytes = 0

    def new(self) -> str:
        """What was written since this was asked last."""
        if not self._path.exists():
            return ""
        with self._path.open("rb") as file:
            file.seek(self._seen_bytes)
            text = file.read()
        self._seen_bytes += len(text)
        return text.decode(errors="replace")


def faults(host: DaemonHost) -> list[str]:
    """Empty when all is well. Looks again for a while at what only needs a moment; cheap when
    nothing does."""
    found = loud_records(host.log.new(), host.expected_in_log)
    if host.process is None or host.process.poll() is not None:
        return found
    return found + _lasting(
        lambda: [
            *_untrue_containers(host),
            *_untrue_tasks(host),
            *_zombies(host),
            *_open_doors(host),
        ]
    )


def loud_records(log: str, expected: list[str]) -> list[str]:
    """Records that tell of a fault of ours, without those that have one of the expected words."""
    return [
        f"in the log: {record.strip()[:4000]}"
        for record in _RECORD.split(log)
        if LOUD.search(record) and not any(word in record for word in expected)
    ]


def _open_doors(host: DaemonHost) -> Iterator[str]:
    """What another user of the machine could reach of ours."""
    for folder in (host.data_root, host.exec_root):
        yield from (f"open to others: {found}" for found in readable_by_others(folder))


def burdens(host: DaemonHost) -> list[str]:
    """For a daemon without containers: what it holds too much of."""
    if host.process is None or host.process.poll() is not None:
        return []
    place = Path(f"/proc/{host.process.pid}")

    def too_many() -> list[str]:
        counts = {
            "descriptors": (len(os.listdir(place / "fd")), _FILES),  # noqa: PTH208
            "threads": (len(os.listdir(place / "task")), _THREADS),  # noqa: PTH208
        }
        return [
            f"the idle daemon holds {count} {what}, more than {most}"
            for what, (count, most) in counts.items()
            if count > most
        ]

    return _lasting(too_many)


def _lasting(look: Callable[[], list[str]]) -> list[str]:
    """What is found each time until patience ends."""
    deadline = time.monotonic() + _PATIENCE_S
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return found


def _untrue_containers(host: DaemonHost) -> Iterator[str]:
    """Those said to run without a process, or without the conmon that would tell their end."""
    for row in host.api("GET", "/containers/json").body:
        id_ = row["Id"]
        shown = host.api("GET", f"/containers/{id_}/json")
        if shown.status != 200 or not shown.body["State"]["Running"]:
            continue
        pid = shown.body["State"]["Pid"]
        if not _lives(pid):
            yield f"container {id_[:12]} is said to run, its process {pid} does not"
        try:
            conmon = int((host.exec_root / "bundles" / id_ / "conmon.pid").read_text())
        except (OSError, ValueError):
            conmon = 0
        if not _lives(conmon):
            yield f"container {id_[:12]} is said to run, its conmon {conmon} does not"


def _untrue_tasks(host: DaemonHost) -> Iterator[str]:
    """Those of this node said to run without a container that does."""
    node = host.api("GET", "/info").body["Swarm"]["NodeID"]
    answer = host.api("GET", "/tasks") if node else None
    if answer is None or answer.status != 200:
        return
    said = {
        task["Status"]["ContainerStatus"]["ContainerID"]: task["ID"]
        for task in answer.body
        if task.get("NodeID") == node and task["Status"]["State"] == "running"
    }
    filters = json.dumps({"status": ["running", "paused"]}).replace(" ", "")
    real = {row["Id"] for row in host.api("GET", f"/containers/json?filters={filters}").body}
    for container in said.keys() - real:
        yield f"task {said[container]} is said to run, its container {container[:12]} does not"


def _zombies(host: DaemonHost) -> Iterator[str]:
    assert host.process is not None
    for name in zombies_of(host.process.pid).values():
        yield f"a child of the daemon was not reaped: {name}"


def zombies_of(process: int) -> dict[int, str]:
    """Children that it did not reap: their pids and names."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        pid, _, rest = _read(path).partition("(")
        name, _, rest = rest.rpartition(")")
        state, parent, *_ = (*rest.split(maxsplit=2), "", "")
        if state == "Z" and parent == str(process):
            found[int(pid)] = name
    return found


def _lives(pid: int) -> bool:
    _, _, rest = _read(Path(f"/proc/{pid}/stat")).rpartition(")")
    return bool(rest) and rest.split()[0] not in "ZX"


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
