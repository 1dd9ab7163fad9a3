"""The cluster as a whole: start it, join it, leave it, look at it, change its settings."""

from __future__ import annotations

from skep.api.answers import empty, json_answer
from skep.api.request import Request
from skep.http.router import Route
from skep.http.web import Response
from skep.kit.errors import Conflict
from skep.model.cluster import ClusterSpec
from skep.model.system import SwarmInit, SwarmInspect, SwarmJoin


async def init(request: Request) -> Response:
    node_id = await request.node.swarm.init(await request.json(SwarmInit))
    return json_answer(node_id)


async def join(request: Request) -> Response:
    await request.node.swarm.join(await request.json(SwarmJoin))
    return empty(200)


async def leave(request: Request) -> Response:
    await request.node.swarm.leave(force=request.flag("force"))
    return empty(200)


async def inspect(request: Request) -> Response:
    control = request.control.cluster
    return json_answer(SwarmInspect.of(control.get(), join_tokens=control.join_tokens()))


async def update(request: Request) -> Response:
    await request.control.cluster.update(
        request.object_version(),
        await request.json(ClusterSpec),
        rotate_worker_token=request.flag("rotateWorkerToken"),
        rotate_manager_token=request.flag("rotateManagerToken"),
        rotate_manager_unlock_key=request.flag("rotateManagerUnlockKey"),
    )
    return empty(200)


async def unlock_key(request: Request) -> Response:
    """No key: the managers of this cluster start without being unlocked."""
    request.control.cluster.get()
    return json_answer({"UnlockKey": ""})


async def unlock(request: Request) -> Response:
    raise Conflict("swarm is not locked")


ROUTES = (
    Route("POST", "/swarm/init", init),
    Route("POST", "/swarm/join", join),
    Route("POST", "/swarm/leave", leave),
    Route("GET", "/swarm", inspect),
    Route("POST", "/swarm/update", update),
    Route("GET", "/swarm/unlockkey", unlock_key),
    Route("POST", "/swarm/unlock", unlock),
)
