"""One node's volumes."""

from __future__ import annotations

from skep.api import older
from skep.api.answers import empty, json_answer
from skep.api.request import Request
from skep.http.router import Route
from skep.http.web import Response
from skep.model.volume import VolumeCreate


async def find(request: Request) -> Response:
    return json_answer(await request.node.engine.volumes.list(request.filters()))


async def create(request: Request) -> Response:
    wish = await request.json(VolumeCreate)
    return json_answer(await request.node.engine.volumes.create(wish), 201)


async def inspect(request: Request) -> Response:
    return json_answer(await request.node.engine.volumes.inspect(request.params["name"]))


async def remove(request: Request) -> Response:
    force = request.flag("force")
    await request.node.engine.volumes.remove(request.params["name"], force=force)
    return empty()


async def prune(request: Request) -> Response:
    filters = older.volume_prune_filters(request.filters(), request.version)
    return json_answer(await request.node.engine.volumes.prune(filters))


ROUTES = (
    Route("GET", "/volumes", find),
    Route("POST", "/volumes/create", create),
    Route("POST", "/volumes/prune", prune),
    Route("GET", "/volumes/{name}", inspect),
    Route("DELETE", "/volumes/{name}", remove),
)
