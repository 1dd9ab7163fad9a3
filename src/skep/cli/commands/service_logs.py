"""`skep service logs`: lines of many tasks, each with the name of its task in front."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skep.cli.client.wire import Response
from skep.cli.commands.moment_flags import WHEN, moment
from skep.cli.errors import ApiFailure, Failure
from skep.cli.flags.command import ONE, Command
from skep.cli.flags.flag import Options, switch, text
from skep.cli.resolve import Names
from skep.cli.session import Session
from skep.cli.show.units import short_id
from skep.cli.streams.stdcopy import STDERR, SYSTEM_ERROR, frames

_NOT_FOUND = 404
_NODE, _SERVICE, _TASK = (f"com.docker.swarm.{kind}.id" for kind in ("node", "service", "task"))


def _logs(session: Session, options: Options, arguments: list[str]) -> None:
    path, tty, width = _find(session, arguments[0])
    raw = options.yes("raw")
    query = {
        "stdout": True,
        "stderr": True,
        "since": moment(session, options, "since"),
        "timestamps": options.yes("timestamps") or None,
        "follow": options.yes("follow") or None,
        "tail": options.text("tail"),
        # The names of tasks come with the details of each line.
        "details": options.yes("details") or not raw or None,
    }
    if tty and not raw:
        raise Failure("tty service logs only supported with --raw")
    response = session.client.stream("GET", f"{path}/logs", query)
    if tty:
        for piece in response.chunks():
            session.out.write(piece)
        return
    write = _raw if raw else _namer(session, options, width)
    _copy(session, response, write)


def _find(session: Session, name: str) -> tuple[str, bool, int]:
    """The API path of the service or task, whether it has a terminal, how wide its slots are."""
    client = session.client
    try:
        service = client.get(f"/services/{name}")
    except ApiFailure as error:
        if error.status != _NOT_FOUND:
            raise
    else:
        replicas = ((service["Spec"].get("Mode") or {}).get("Replicated") or {}).get("Replicas", 0)
        container = (service["Spec"].get("TaskTemplate") or {}).get("ContainerSpec") or {}
        return f"/services/{service['ID']}", bool(container.get("TTY")), len(str(replicas))
    try:
        task = client.get(f"/tasks/{name}")
    except ApiFailure as error:
        if error.status != _NOT_FOUND:
            raise
        raise Failure(f"no such task or service: {name}") from None
    container = task["Spec"].get("ContainerSpec") or {}
    return f"/tasks/{task['ID']}", bool(container.get("TTY")), len(str(task.get("Slot", 0)))


def _copy(session: Session, response: Response, write: Callable[[bytes], bytes]) -> None:
    for stream, payload in frames(response.chunks(), whole=True):
        target = session.err if stream in (STDERR, SYSTEM_ERROR) else session.out
        target.write(payload if stream == SYSTEM_ERROR else write(payload))
        target.flush()


def _raw(payload: bytes) -> bytes:
    return payload


def _namer(session: Session, options: Options, width: int) -> Callable[[bytes], bytes]:
    task_names = TaskNames(session, options, width)

    def write(payload: bytes) -> bytes:
        stamp, details, line = split_line(payload, timestamps=options.yes("timestamps"))
        prefix = f"{stamp} " if stamp else ""
        prefix += f"{task_names.of(details)}    | "
        if options.yes("details"):
            own = {k: v for k, v in details.items() if not k.startswith("com.docker.swarm.")}
            prefix += ",".join(f"{key}={value}" for key, value in sorted(own.items())) + " "
        return prefix.encode() + line

    return write


def split_line(payload: bytes, *, timestamps: bool) -> tuple[str, dict[str, str], bytes]:
    """A log line's time (or nothing), its details, and what the task wrote."""
    parts = payload.split(b" ", 2 if timestamps else 1)
    if len(parts) < (3 if timestamps else 2):
        raise Failure(f"invalid context in log message: {payload!r}")
    stamp = parts[0].decode(errors="replace") if timestamps else ""
    return stamp, read_details(parts[-2].decode(errors="replace")), parts[-1]


def read_details(text: str) -> dict[str, str]:
    """`a=b,c=d`, percent-encoded."""
    from urllib.parse import unquote_plus

    pairs = (pair.partition("=") for pair in text.split(",") if pair)
    return {unquote_plus(key): unquote_plus(value) for key, _, value in pairs}


class TaskNames:
    """`web.1.r2r9zr0o11zz@node`, from the ids in a line's details."""

    def __init__(self, session: Session, options: Options, width: int) -> None:
        self._client = session.client
        self._names = Names(session.client, resolve=not options.yes("no-resolve"))
        self._options = options
        self._width = width
        self._known: dict[str, str] = {}

    def of(self, details: dict[str, str]) -> str:
        task_id = details.get(_TASK, "")
        if not all(details.get(key) for key in (_NODE, _SERVICE, _TASK)):
            raise Failure("missing service, node or task id in the details of a log line")
        if task_id not in self._known:
            self._known[task_id] = self._name(details)
        return self._known[task_id]

    def _name(self, details: dict[str, str]) -> str:
        task_id, service, node = details[_TASK], details[_SERVICE], details[_NODE]
        slot = self._slot(task_id)
        name = f"{self._names.service(service)}.{slot}"
        if not self._options.yes("no-task-ids"):
            name += f".{task_id if self._options.yes('no-trunc') else short_id(task_id)}"
        padding = " " * (self._width - len(str(slot)))
        return f"{name}@{self._names.node(node)}{padding}"

    def _slot(self, task_id: str) -> Any:
        try:
            return self._client.get(f"/tasks/{task_id}").get("Slot", 0)
        except ApiFailure:
            return 0


LOGS = Command(
    "SERVICE|TASK",
    _logs,
    ONE,
    (
        switch("--details", "Show extra details provided to logs"),
        switch("-f --follow", "Follow log output"),
        switch("--no-resolve", "Do not map IDs to Names in output"),
        switch("--no-task-ids", "Do not include task IDs in output"),
        switch("--no-trunc", "Do not truncate output"),
        switch("--raw", "Do not neatly format logs"),
        text("--since", f"Show logs since timestamp {WHEN}"),
        text("-n --tail", "Number of lines to show from the end of the logs", default="all"),
        switch("-t --timestamps", "Show timestamps"),
    ),
)
