"""What docker has and skep has not: its lists are empty, wishes for it are refused by name."""

from __future__ import annotations

from typing import NoReturn

from skep.api.answers import json_answer
from skep.api.request import Request
from skep.http.router import Handler, Route
from skep.http.web import Response
from skep.kit.errors import NotFound, Unimplemented


async def no_plugins(request: Request) -> Response:
    return json_answer([])


async def nothing_to_prune(request: Request) -> Response:
    """There is no builder and so no build cache: `docker system prune` asks all the same."""
    return json_answer({"CachesDeleted": None, "SpaceReclaimed": 0})


async def none_in_cluster(request: Request) -> Response:
    """An empty list, from managers only."""
    request.control.cluster.get()
    return json_answer([])


def _absent(kind: str) -> Handler[Request]:
    async def handler(request: Request) -> NoReturn:
        request.control.cluster.get()
        raise NotFound(f"{kind} {request.params['id']} not found")

    return handler


def _refuse(what: str) -> Handler[Request]:
    async def handler(request: Request) -> NoReturn:
        raise Unimplemented(f"skep does not support {what}")

    return handler


def _cluster_objects(kind: str) -> tuple[Route[Request], ...]:
    refused = _refuse(f"{kind}s yet")
    return (
        Route("GET", f"/{kind}s", none_in_cluster),
        Route("POST", f"/{kind}s/create", refused),
        Route("GET", f"/{kind}s/{{id}}", _absent(kind)),
        Route("POST", f"/{kind}s/{{id}}/update", _absent(kind)),
        Route("DELETE", f"/{kind}s/{{id}}", _absent(kind)),
    )


ROUTES = (
    *_cluster_objects("secret"),
    *_cluster_objects("config"),
    Route("GET", "/plugins", no_plugins),
    Route("GET", "/plugins/{name:.+}", _refuse("plugins")),
    Route("POST", "/plugins/{name:.+}", _refuse("plugins")),
    Route("DELETE", "/plugins/{name:.+}", _refuse("plugins")),
    Route("PUT", "/volumes/{name}", _refuse("cluster volumes")),
    Route("GET", "/images/search", _refuse("searching registries for images")),
    Route("POST", "/images/{name:.+}/push", _refuse("pushing images")),
    Route("POST", "/commit", _refuse("making images of containers (commit)")),
    Route("POST", "/build", _refuse("building images through the API")),
    Route("POST", "/build/prune", nothing_to_prune),
    Route("POST", "/session", _refuse("build sessions")),
    Route("GET", "/containers/{id}/attach/ws", _refuse("attaching by websocket: use attach")),
    Route("GET", "/containers/{id}/changes", _refuse("listing a container's changes (diff)")),
    Route("GET", "/containers/{id}/export", _refuse("exporting a container's files")),
    Route("GET", "/containers/{id}/archive", _refuse("copying files from containers (cp)")),
    Route("HEAD", "/containers/{id}/archive", _refuse("copying files from containers (cp)")),
    Route("PUT", "/containers/{id}/archive", _refuse("copying files into containers (cp)")),
    Route("GET", "/containers/{id}/checkpoints", _refuse("checkpoints")),
    Route("POST", "/containers/{id}/checkpoints", _refuse("checkpoints")),
)
