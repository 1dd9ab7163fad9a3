"""The machines of the cluster."""

from __future__ import annotations

from skep.api import choices
from skep.api.answers import empty, json_answer
from skep.api.request import Request
from skep.http.router import Route
from skep.http.web import Response
from skep.model.node import NodeSpec


async def find(request: Request) -> Response:
    return json_answer(request.control.nodes.find(choices.nodes(request.filters())))


async def inspect(request: Request) -> Response:
    return json_answer(request.control.nodes.get(request.params["id"]))


async def update(request: Request) -> Response:
    nodes = request.control.nodes
    spec = await request.json(NodeSpec)
    await nodes.update(request.params["id"], request.object_version(), spec)
    return empty(200)


async def remove(request: Request) -> Response:
    await request.control.nodes.remove(request.params["id"], force=request.flag("force"))
    return empty(200)


ROUTES = (
    Route("GET", "/nodes", find),
    Route("GET", "/nodes/{id}", inspect),
    Route("POST", "/nodes/{id}/update", update),
    Route("DELETE", "/nodes/{id}", remove),
)
