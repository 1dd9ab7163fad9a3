"""Networks of this node and of its cluster."""

from __future__ import annotations

from skep.api import choices, filters
from skep.api.answers import empty, json_answer
from skep.api.request import Request
from skep.http.router import Route
from skep.http.web import Response
from skep.kit.clock import utc_now
from skep.model.base import Strict
from skep.model.container import EndpointSettings
from skep.model.network import NetworkCreate
from skep.node.networks import Networks


class Connect(Strict, frozen=True):
    """The body of POST /networks/{id}/connect."""

    container: str = ""
    endpoint_config: EndpointSettings | None = None


class Disconnect(Strict, frozen=True):
    """The body of POST /networks/{id}/disconnect."""

    container: str = ""
    force: bool = False


async def find(request: Request) -> Response:
    wanted = request.filters()
    where = choices.networks(wanted)
    dangling = filters.boolean(wanted, "dangling")
    networks = Networks(request.node)
    found = await networks.find(where, dangling=dangling)
    if request.version < (1, 28):  # the containers stood in the list as well
        found = [await networks.get(network.id) for network in found]
    return json_answer(found)


async def inspect(request: Request) -> Response:
    networks = Networks(request.node)
    return json_answer(await networks.get(request.params["id"], request.text("scope")))


async def create(request: Request) -> Response:
    wish = await request.json(NetworkCreate)
    network_id = await Networks(request.node).create(wish)
    return json_answer({"Id": network_id, "Warning": ""}, 201)


async def remove(request: Request) -> Response:
    await Networks(request.node).remove(request.params["id"])
    return empty()


async def connect(request: Request) -> Response:
    wish = await request.json(Connect)
    networks = Networks(request.node)
    await networks.connect(request.params["id"], wish.container, wish.endpoint_config)
    return empty(200)


async def disconnect(request: Request) -> Response:
    wish = await request.json(Disconnect)
    networks = Networks(request.node)
    await networks.disconnect(request.params["id"], wish.container, force=wish.force)
    return empty(200)


async def prune(request: Request) -> Response:
    where = choices.pruned_networks(request.filters(), utc_now())
    return json_answer({"NetworksDeleted": await Networks(request.node).prune(where) or None})


ROUTES = (
    Route("GET", "/networks", find),
    Route("POST", "/networks/create", create),
    Route("POST", "/networks/prune", prune),
    Route("GET", "/networks/{id}", inspect),
    Route("DELETE", "/networks/{id}", remove),
    Route("POST", "/networks/{id}/connect", connect),
    Route("POST", "/networks/{id}/disconnect", disconnect),
)
