"""How far a service has come, as lines: from what the daemon lists, purely.

The caller polls the daemon, hands each look to `advance` with the progress that it has so far, and
shows the lines that come out. Up to 20 tasks are shown each on a line of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

from skep.cli.show.units import short_id

POLL_S = 0.2
_MOST_BARS = 20
_ERROR_WIDTH = 75
_FINISHED = "finished"
_DEFAULT_MONITOR_NS = 5 * 10**9
STAGES = (
    "new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting",
    "running",
)  # fmt: skip
_GIVEN_UP = ("shutdown", "failed", "rejected", "remove", "orphaned")
_ENDED = ("complete", *_GIVEN_UP)
_RANK = {state: rank for rank, state in enumerate((*STAGES, *_ENDED), start=1)}
_STATE_WIDTH = 9

Task = Mapping[str, Any]


class Line(NamedTuple):
    """`name` is what the line is replaced by; `stage`, where there is one, is a task's way
    through STAGES, which a terminal shows as a bar."""

    name: str
    text: str
    stage: int = 0


class Look(NamedTuple):
    """What the daemon says now of the service that the person calls `name`.

    `nodes` are the ids of the nodes that are not down.
    """

    name: str
    service: Mapping[str, Any]
    tasks: Sequence[Task]
    nodes: frozenset[str]
    now_s: float


class Progress(NamedTuple):
    """What has been seen so far. `converged_at_s` is when all tasks were last found well."""

    slots: tuple[Any, ...] = ()
    converged_at_s: float | None = None
    rolling_back: bool = False
    settled: bool = False
    parting_word: str = ""


class Step(NamedTuple):
    """The new progress, lines to show, and whether it is over: well, or with `failure`."""

    progress: Progress
    lines: tuple[Line, ...] = ()
    done: bool = False
    failure: str = ""


def advance(progress: Progress, look: Look) -> Step:
    """One look at the service."""
    ended, progress, lines = _read_update(progress, look.service)
    if ended:
        return Step(progress, lines, done=True, failure=ended if ended != _FINISHED else "")
    monitor_s = _monitor_s(look.service, progress.rolling_back)
    since = progress.converged_at_s
    if since is not None and look.now_s - since >= monitor_s:
        lines += (Line("verify", f"Service {look.name} converged"),)
        if progress.parting_word:
            lines += (Line("rollback", progress.parting_word),)
        return Step(progress, lines, done=True)
    converged, progress, seen = _look_at_tasks(progress, look)
    lines += seen
    if converged and is_job(look.service):
        return Step(progress, (*lines, Line("", "job complete")), done=True)
    if not converged:
        if since is not None:
            lines += (Line("verify", "Detected task failure"),)
        return Step(progress._replace(converged_at_s=None), lines)
    since = look.now_s if since is None else since
    left = monitor_s - (look.now_s - since)
    waiting = f"Waiting {max(ceil(left), 1)} seconds to verify that tasks are stable..."
    return Step(progress._replace(converged_at_s=since), (*lines, Line("verify", waiting)))


def _read_update(
    progress: Progress, service: Mapping[str, Any]
) -> tuple[str, Progress, tuple[Line, ...]]:
    """What the service's UpdateStatus says: the end (a failure's words), or how to go on."""
    status = service.get("UpdateStatus") or {}
    message = str(status.get("Message", ""))
    converged = progress.converged_at_s is not None
    match status.get("State"):
        case "updating":
            progress = progress._replace(rolling_back=False)
        case "completed" if not converged and not is_job(service):
            return _FINISHED, progress, ()
        case "paused":
            return f"service update paused: {message}", progress, ()
        case "rollback_started":
            lines = (Line("rollback", message),) if message and not progress.rolling_back else ()
            return "", progress._replace(rolling_back=True), lines
        case "rollback_paused":
            return f"service rollback paused: {message}", progress, ()
        case "rollback_completed":
            word = progress.parting_word if converged else message
            progress = progress._replace(rolling_back=True, parting_word=word)
    return "", progress, ()


def _monitor_s(service: Mapping[str, Any], rolling_back: bool) -> float:
    config = service["Spec"].get("RollbackConfig" if rolling_back else "UpdateConfig") or {}
    return float(config.get("Monitor") or _DEFAULT_MONITOR_NS) / 1e9


def is_job(service: Mapping[str, Any]) -> bool:
    mode = service["Spec"].get("Mode") or {}
    return "ReplicatedJob" in mode or "GlobalJob" in mode


def _look_at_tasks(progress: Progress, look: Look) -> tuple[bool, Progress, tuple[Line, ...]]:
    mode = look.service["Spec"].get("Mode") or {}
    if is_job(look.service):
        return _look_at_job(progress, look, mode)
    if "Global" in mode:
        return _look_at_nodes(progress, look)
    replicas = int((mode.get("Replicated") or {}).get("Replicas", 1))
    return _look_at_slots(progress, look, replicas)


def _look_at_slots(
    progress: Progress, look: Look, replicas: int
) -> tuple[bool, Progress, tuple[Line, ...]]:
    current = _current(look, "Slot")
    slots = (*progress.slots, *(slot for slot in current if slot not in progress.slots))
    running = sum(_runs(task) for task in current.values())
    lines: list[Line] = []
    if not progress.settled or running != replicas:
        lines.append(_overall(running, replicas, progress.rolling_back))
    if replicas <= _MOST_BARS:
        for slot, task in current.items():
            number = slots.index(slot) + 1
            lines += _task_line(f"{number}/{replicas}", task)
    done = running == replicas
    return done, progress._replace(slots=slots, settled=done), tuple(lines)


def _look_at_nodes(progress: Progress, look: Look) -> tuple[bool, Progress, tuple[Line, ...]]:
    current = _current(look, "NodeID")
    if not current:
        # Not made yet, or no node fits: the orchestrator makes all of them at once.
        return False, progress, (Line("overall progress", "waiting for new tasks"),)
    running = sum(_runs(task) for task in current.values())
    lines: list[Line] = []
    if not progress.settled or running != len(current):
        lines.append(_overall(running, len(current), progress.rolling_back))
    if len(current) <= _MOST_BARS:
        for node, task in current.items():
            lines += _task_line(short_id(node), task)
    done = running == len(current)
    return done, progress._replace(settled=done), tuple(lines)


def _look_at_job(
    progress: Progress, look: Look, mode: Mapping[str, Any]
) -> tuple[bool, Progress, tuple[Line, ...]]:
    iteration = (look.service.get("JobStatus") or {}).get("JobIteration", {}).get("Index", 0)
    tasks = [
        task for task in look.tasks if (task.get("JobIteration") or {}).get("Index", 0) == iteration
    ]
    current = _current(look._replace(tasks=tasks), "NodeID" if "GlobalJob" in mode else "Slot")
    job = mode.get("ReplicatedJob") or {}
    total = int(job.get("TotalCompletions", 1)) if "ReplicatedJob" in mode else len(current)
    complete = sum(task["Status"]["State"] == "complete" for task in current.values())
    active = sum(_runs(task) for task in current.values())
    at_once = int(job.get("MaxConcurrent") or total) if job else total
    lines: list[Line] = [
        Line("job progress", f"{complete} out of {total} complete"),
        Line("active tasks", f"{active} out of {min(at_once, total - complete)} tasks"),
    ]
    if total <= _MOST_BARS:
        for key, task in current.items():
            name = f"{int(key) + 1}/{total}" if job else short_id(key)
            lines += _task_line(name, task)
    done = bool(current) and complete == total
    return done, progress, tuple(lines)


def _current(look: Look, key: str) -> dict[Any, Task]:
    """The task that counts for each slot or node: the one furthest from being shut down."""
    chosen: dict[Any, Task] = {}
    for task in look.tasks:
        state, desired = task["Status"]["State"], task["DesiredState"]
        node = task.get("NodeID", "")
        if state not in _RANK or desired not in _RANK or (node and node not in look.nodes):
            continue
        if key == "NodeID" and not node:
            continue
        place = task.get(key) or (0 if key == "Slot" else "")
        if place not in chosen or _order(task) < _order(chosen[place]):
            chosen[place] = task
    return dict(sorted(chosen.items()))


def _order(task: Task) -> tuple[int, int]:
    return _RANK[task["DesiredState"]], _RANK[task["Status"]["State"]]


def _runs(task: Task) -> bool:
    return task["DesiredState"] not in _GIVEN_UP and task["Status"]["State"] == "running"


def _overall(running: int, wanted: int, rolling_back: bool) -> Line:
    count = f"{running} out of {wanted} tasks"
    return Line("overall progress", f"rolling back update: {count}" if rolling_back else count)


def _task_line(name: str, task: Task) -> list[Line]:
    """`1/3: starting  [====>  ]`, or the reason why the task is not there yet."""
    state, error = task["Status"]["State"], str(task["Status"].get("Err") or "")
    if error:
        return [Line(name, _shortened(error))]
    if state in _ENDED or task["DesiredState"] in _GIVEN_UP:
        return []
    return [Line(name, f"{state:<{_STATE_WIDTH}}", _RANK[state])]


def _shortened(error: str) -> str:
    line = error.replace("\n", " ")
    return line if len(line) <= _ERROR_WIDTH else line[: _ERROR_WIDTH - 1] + "…"
