"""`skep service ps` and `skep node ps`: tasks, the past ones of a slot under the present one."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from skep.cli.client.client import Client, filters_query
from skep.cli.errors import ApiFailure, Failure
from skep.cli.flags.command import ANY, SOME, Command
from skep.cli.flags.flag import Options, filters, switch
from skep.cli.resolve import Names
from skep.cli.session import Session
from skep.cli.show.listing import Field, Fields
from skep.cli.show.lists import list_format, show_list
from skep.cli.show.units import ellipsis, human_duration, natural_key, seconds_since, short_id
from skep.cli.show.words import familiar_image

_TABLE = (
    "{{.ID}}\t{{.Name}}\t{{.Image}}\t{{.Node}}\t{{.DesiredState}}\t{{.CurrentState}}"
    "\t{{.Error}}\t{{.Ports}}"
)
_ERROR_WIDTH = 30

Task = dict[str, Any]


class Row(NamedTuple):
    """A task with the names that its ids stand for."""

    task: Task
    name: str
    node: str
    now: datetime
    truncate: bool = True


def _id(row: Row) -> str:
    full = str(row.task["ID"])
    return short_id(full) if row.truncate else full


def _image(row: Row) -> str:
    image = str((row.task["Spec"].get("ContainerSpec") or {}).get("Image", ""))
    return familiar_image(image) if row.truncate else image


def _current_state(row: Row) -> str:
    status = row.task["Status"]
    ago = human_duration(seconds_since(status["Timestamp"], row.now)).lower()
    return f"{status['State'].capitalize()} {ago} ago"


def _error(row: Row) -> str:
    error = str(row.task["Status"].get("Err") or "")
    if not error:
        return ""
    return f'"{ellipsis(error, _ERROR_WIDTH) if row.truncate else error}"'


def _ports(row: Row) -> str:
    ports = (row.task["Status"].get("PortStatus") or {}).get("Ports") or []
    return ",".join(
        f"*:{port.get('PublishedPort', 0)}->{port['TargetPort']}/{port['Protocol']}"
        for port in ports
    )


FIELDS: Fields = {
    "ID": Field("ID", _id),
    "Name": Field("NAME", lambda row: row.name),
    "Image": Field("IMAGE", _image),
    "Node": Field("NODE", lambda row: row.node),
    "DesiredState": Field("DESIRED STATE", lambda row: row.task["DesiredState"].capitalize()),
    "CurrentState": Field("CURRENT STATE", _current_state),
    "Error": Field("ERROR", _error),
    "Ports": Field("PORTS", _ports),
}


def task_name(task: Task, service: str) -> str:
    """`web.1`, or `agent.<node id>` for a task that has no slot."""
    return f"{service}.{task.get('Slot') or task.get('NodeID', '')}"


def in_order(tasks: list[tuple[str, Task]]) -> list[tuple[str, Task]]:
    """Named tasks by name as people count, the youngest of a name first."""
    newest_first = sorted(tasks, key=lambda pair: pair[1].get("CreatedAt", ""), reverse=True)
    return sorted(newest_first, key=lambda pair: natural_key(pair[0]))


def indented(names: list[str]) -> list[str]:
    r"""Names with ` \_ ` before each that is the same as the one above it."""
    above = ["", *names]
    return [rf" \_ {name}" if name == above[at] else name for at, name in enumerate(names)]


def show_tasks(session: Session, options: Options, tasks: list[Task]) -> None:
    names = Names(session.client, resolve=not options.yes("no-resolve"))
    quiet = options.yes("quiet")
    named = in_order([(_task_name(task, names, quiet), task) for task in tasks])
    shown = [name for name, _ in named]
    layout = options.text("format") or session.settings.text("tasksFormat") or "table"
    if layout.startswith("table"):
        shown = indented(shown)
    truncate = not (options.yes("no-trunc") or quiet)
    now = session.now
    rows = [
        Row(task, name, "" if quiet else names.node(task.get("NodeID", "")), now, truncate)
        for name, (_, task) in zip(shown, named, strict=True)
    ]
    show_list(session, options, FIELDS, rows, table=_TABLE, setting="tasksFormat")


def _task_name(task: Task, names: Names, quiet: bool) -> str:
    service = task.get("ServiceID", "")
    return task_name(task, service if quiet else names.service(service))


def _service_ps(session: Session, options: Options, arguments: list[str]) -> int:
    found, missing = find_services(session.client, arguments)
    if found:
        wanted = [*options.items("filter"), *(("service", each) for each in found)]
        query = {"filters": _with_self(session.client, wanted)}
        show_tasks(session, options, session.client.get("/tasks", query))
    if missing:
        raise Failure("\n".join(f"no such service: {each}" for each in missing))
    return 0


def find_services(client: Client, words: list[str]) -> tuple[list[str], list[str]]:
    """The ids of the services that `words` name (by name or the start of an id), and the rest."""
    by_name = client.get("/services", {"filters": {"name": words}})
    by_id = client.get("/services", {"filters": {"id": words}})
    found, missing = [], []
    for word in words:
        ids = [service["ID"] for service in by_name if service["Spec"]["Name"] == word]
        ids = ids or [service["ID"] for service in by_id if service["ID"] == word]
        ids = ids or [service["ID"] for service in by_id if service["ID"].startswith(word)]
        if len(ids) > 1:
            raise Failure(f"multiple services found with provided prefix: {word}")
        found += ids
        missing += [] if ids else [word]
    return found, missing


def _with_self(client: Client, wanted: list[tuple[str, str]]) -> dict[str, list[str]] | None:
    """Filters in which `node=self` is this daemon's node."""
    return filters_query(
        (name, node_reference(client, value) if name == "node" else value) for name, value in wanted
    )


def node_reference(client: Client, word: str) -> str:
    """A node as the API names it: `self` stands for the daemon's own."""
    if word != "self":
        return word
    swarm = client.get("/info").get("Swarm") or {}
    if not swarm.get("NodeID"):
        # A worker or a lone daemon: any call for managers explains what is wrong.
        client.get("/nodes")
        raise Failure("node ID not found in /info")
    return str(swarm["NodeID"])


def _node_ps(session: Session, options: Options, arguments: list[str]) -> int:
    client = session.client
    tasks: list[Task] = []
    failures = []
    for word in arguments or ["self"]:
        try:
            node = client.get(f"/nodes/{node_reference(client, word)}")
        except ApiFailure as error:
            failures.append(str(error))
            continue
        wanted = [*options.items("filter"), ("node", node["ID"])]
        tasks += client.get("/tasks", {"filters": filters_query(wanted)})
    if len(failures) < len(arguments or ["self"]):
        show_tasks(session, options, tasks)
    if failures:
        raise Failure("\n".join(failures))
    return 0


_FLAGS = (
    filters(),
    list_format(),
    switch("--no-resolve", "Do not map IDs to Names"),
    switch("--no-trunc", "Do not truncate output"),
    switch("-q --quiet", "Only display task IDs"),
)
SERVICE_PS = Command("SERVICE [SERVICE...]", _service_ps, SOME, _FLAGS)
NODE_PS = Command("[NODE...]", _node_ps, ANY, _FLAGS)
