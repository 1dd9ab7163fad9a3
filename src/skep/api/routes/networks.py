"""Networks: this node's own and, on a manager, the cluster's, shown as one list.

A cluster network in which this node takes part is known to both rooms: the cluster says what it is,
the node which of its containers are on it.
"""

from __future__ import annotations

import contextlib

import msgspec

from skep.api.answers import empty, json_answer
from skep.api.request import Request
from skep.api.router import Route
from skep.api.web import Response
from skep.engine.filters import passes_labels, until_moment
from skep.kit.clock import utc_now
from skep.kit.errors import Conflict, InvalidArgument, NotFound
from skep.manager.control.filters import NO_FILTERS, Filters
from skep.manager.control.networks import Networks
from skep.model.base import Strict
from skep.model.container import EndpointSettings
from skep.model.network import NetworkCreate, NetworkResource, as_resource


class Connect(Strict, frozen=True):
    """The body of POST /networks/{id}/connect."""

    container: str = ""
    endpoint_config: EndpointSettings | None = None


class Disconnect(Strict, frozen=True):
    """The body of POST /networks/{id}/disconnect."""

    container: str = ""
    force: bool = False


async def find(request: Request) -> Response:
    return json_answer(await _all(request, request.filters()))


async def _all(request: Request, filters: Filters = NO_FILTERS) -> list[NetworkResource]:
    """The cluster's networks first, then those that only this node has.

    A manager knows which networks the cluster has: one that was removed may be on this node still,
    until its last task has stopped.
    """
    local = await request.node.engine.networks.list(filters)
    control = request.node.control
    if control is None:
        return local
    clusters = [as_resource(network) for network in control.networks.find(filters)]
    return clusters + [network for network in local if network.scope != "swarm"]


async def _choose(request: Request, scope: str = "") -> NetworkResource:
    """In the scope of the swarm every node's own `host` and `bridge` have their part, too:
    docker's client looks them up there for `service create --network host`."""
    reference = request.params["id"]
    if scope == "swarm" and (control := request.node.control):
        return as_resource(control.networks.get(reference))
    networks = await _all(request)
    return choose([each for each in networks if scope in {"", each.scope}], reference)


def choose(networks: list[NetworkResource], reference: str) -> NetworkResource:
    """The one that is meant: by id, then by name, then by the start of an id."""
    by_name = [network for network in networks if network.name == reference]
    by_prefix = [network for network in networks if network.id.startswith(reference)]
    if exact := [network for network in by_prefix if network.id == reference]:
        return exact[0]
    for found, how in ((by_name, "name"), (by_prefix, "ID prefix")):
        if len(found) > 1:
            raise InvalidArgument(
                f"network {reference} is ambiguous ({len(found)} matches found based on {how})"
            )
        if found:
            return found[0]
    raise NotFound(f"network {reference} not found")


async def inspect(request: Request) -> Response:
    network = await _choose(request, request.text("scope"))
    try:
        here = await request.node.engine.networks.inspect(network.id)
    except NotFound:
        return json_answer(network)
    return json_answer(msgspec.structs.replace(network, containers=here.containers))


async def create(request: Request) -> Response:
    wish = await request.json(NetworkCreate)
    if any(network.name == wish.name for network in await _all(request)):
        raise Conflict(f"network with name {wish.name} already exists")
    if wish.driver == "overlay" or wish.scope == "swarm" or wish.ingress:
        network_id = await request.control.networks.create(wish)
    else:
        network_id = await request.node.engine.networks.create(wish)
    return json_answer({"Id": network_id, "Warning": ""}, 201)


async def remove(request: Request) -> Response:
    network = await _choose(request)
    if network.scope == "swarm":
        await request.control.networks.remove(network.id)
    else:
        await request.node.engine.networks.remove(network.id)
    return empty()


async def connect(request: Request) -> Response:
    wish = await request.json(Connect)
    network = await _choose(request)
    containers = request.node.engine.containers
    await containers.connect(wish.container, network.id, wish.endpoint_config)
    return empty(200)


async def disconnect(request: Request) -> Response:
    wish = await request.json(Disconnect)
    network = await _choose(request)
    containers = request.node.engine.containers
    await containers.disconnect(wish.container, network.id, force=wish.force)
    return empty(200)


async def prune(request: Request) -> Response:
    """What nobody uses: of this node's networks and, on a manager, of the cluster's."""
    filters = request.filters()
    deleted = await request.node.engine.networks.prune(filters)
    if control := request.node.control:
        deleted += await _prune_cluster(control.networks, filters)
    return json_answer({"NetworksDeleted": deleted})


async def _prune_cluster(networks: Networks, filters: Filters) -> list[str]:
    """The ingress network goes only by its name, as in docker."""
    until = until_moment(filters, utc_now())
    pruned = []
    for network in networks.find({"dangling": frozenset(("true",))}):
        is_old = until is None or network.created_at < until
        if is_old and not network.spec.ingress and passes_labels(network.spec.labels, filters):
            with contextlib.suppress(InvalidArgument, NotFound):  # used, or gone, since
                await networks.remove(network.id)
                pruned.append(network.spec.name)
    return pruned


ROUTES = (
    Route("GET", "/networks", find),
    Route("POST", "/networks/create", create),
    Route("POST", "/networks/prune", prune),
    Route("GET", "/networks/{id}", inspect),
    Route("DELETE", "/networks/{id}", remove),
    Route("POST", "/networks/{id}/connect", connect),
    Route("POST", "/networks/{id}/disconnect", disconnect),
)
