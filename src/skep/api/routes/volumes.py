"""One node's volumes."""

from __future__ import annotations

from skep.api import choices, filters, older
from skep.api.answers import empty, json_answer
from skep.api.request import Request
from skep.http.router import Route
from skep.http.web import Response
from skep.model.volume import VolumeCreate


async def find(request: Request) -> Response:
    wanted = request.filters()
    where, dangling = choices.volumes(wanted), filters.boolean(wanted, "dangling")
    return json_answer(await request.node.engine.volumes.list(where, dangling=dangling))


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
    """Anonymous ones, or with `all=true` all that nobody uses."""
    wanted = older.volume_prune_filters(request.filters(), request.version)
    filters.check_keys(wanted, ("all", "label", "label!"))
    every = filters.boolean(wanted, "all") is True
    return json_answer(
        await request.node.engine.volumes.prune(filters.labels(wanted), named_too=every)
    )


ROUTES = (
    Route("GET", "/volumes", find),
    Route("POST", "/volumes/create", create),
    Route("POST", "/volumes/prune", prune),
    Route("GET", "/volumes/{name}", inspect),
    Route("DELETE", "/volumes/{name}", remove),
)
