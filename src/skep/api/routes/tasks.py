"""Tries at running a slot of a service on a node: read only."""

from __future__ import annotations

from skep.api import choices, filters
from skep.api.answers import json_answer, json_list
from skep.api.logs import answer_logs
from skep.api.request import Request
from skep.http.router import Route
from skep.http.web import Response, StreamResponse
from skep.model.logs import LogSelector


async def find(request: Request) -> StreamResponse:
    tasks = request.control.tasks
    wanted = request.filters()
    found = await tasks.find(
        choices.tasks(wanted),
        services=wanted.get("service"),
        nodes=wanted.get("node"),
        up_to_date=filters.boolean(wanted, "_up-to-date"),
    )
    return await json_list(request, found)


async def inspect(request: Request) -> Response:
    return json_answer(request.control.tasks.get(request.params["id"]))


async def logs(request: Request) -> StreamResponse:
    task = request.control.tasks.get(request.params["id"])
    container = task.spec.container_spec
    terminal = container is not None and container.tty
    return await answer_logs(request, LogSelector(task_ids=(task.id,)), terminal=terminal)


ROUTES = (
    Route("GET", "/tasks", find),
    Route("GET", "/tasks/{id}", inspect),
    Route("GET", "/tasks/{id}/logs", logs, streams=True),
)
