"""What doors ask of the cluster's networks (local ones are the engine's)."""

from __future__ import annotations

from skep.kit.errors import InvalidArgument, NotPossibleNow, Unimplemented
from skep.kit.where import Where, anything
from skep.manager.control import resolve
from skep.manager.control.cluster import PREDEFINED_NETWORKS
from skep.manager.control.writer import commit_latest
from skep.manager.room import NewId
from skep.model import defaults
from skep.model.network import IPAM, IPAMConfig, Network, NetworkCreate, NetworkSpec
from skep.model.rules.names import check_network_name
from skep.model.rules.subnets import check_subnet, overlapping
from skep.model.service import Service
from skep.model.states import TaskState
from skep.model.task import Task
from skep.store.change import Create, Delete, View
from skep.store.store import Store


class Networks:
    """Cluster networks by id, name or id prefix (`reference`).

    The predefined `host` and `bridge` (services ask for them by these names; every node has its
    own) can be read by `get` and are left out of `find`, as docker does.
    """

    def __init__(self, store: Store, new_id: NewId) -> None:
        self._store = store
        self._new_id = new_id

    def get(self, reference: str) -> Network:
        return resolve.network(self._store.view, reference)

    def find(self, where: Where[Network] = anything, *, used: bool | None = None) -> list[Network]:
        """Networks by name; those that are in use, or not, when that is asked."""
        view = self._store.view
        found = [
            network
            for network in view.networks()
            if not is_predefined(network)
            and where(network)
            and used in (None, _user(view, network) is not None)
        ]
        return sorted(found, key=lambda network: network.spec.name)

    async def create(self, request: NetworkCreate) -> str:
        """Store a cluster network (driver overlay); returns its id. Its subnet comes later."""
        view = self._store.view
        _check_request(request)
        ipam = request.ipam or IPAM()
        for config in ipam.config:
            _check_subnet(view, config)
        if request.ingress and (other := ingress_network(view)) is not None:
            raise NotPossibleNow(f"ingress network ({other.id}) is already present")
        network = Network(
            id=self._new_id(),
            spec=NetworkSpec(
                name=request.name,
                labels=request.labels,
                options=request.options,
                internal=request.internal,
                attachable=request.attachable,
                ingress=request.ingress,
                ipam=ipam,
            ),
        )
        await self._store.commit([Create(network, why="network create")])
        return network.id

    async def remove(self, reference: str) -> None:
        """Forget a network that no service or task uses."""
        network_id = self.get(reference).id

        def forget(view: View) -> list[Delete]:
            network = resolve.network(view, network_id)
            _check_removal(view, network)
            return [Delete(network, why="network rm")]

        await commit_latest(self._store, forget)


def _check_removal(view: View, network: Network) -> None:
    if is_predefined(network):
        raise InvalidArgument(f"{network.spec.name} is a pre-defined network and cannot be removed")
    user = _user(view, network)
    if user is not None:
        kind = "service" if isinstance(user, Service) else "task"
        raise NotPossibleNow(f"network {network.id} is in use by {kind} {user.id}")


def is_predefined(network: Network) -> bool:
    return network.spec.name in PREDEFINED_NETWORKS and network.spec.driver == network.spec.name


def ingress_network(view: View) -> Network | None:
    return next((network for network in view.networks() if network.spec.ingress), None)


def _user(view: View, network: Network) -> Service | Task | None:
    """A service, or else a task that is to run, for which the network must stay.

    The tasks of a service that was removed are about to be told to stop (Swarm counts them until
    they are, and so `docker stack rm` fails now and then).
    """
    for service in view.services():
        if _asks_for(service, network):
            return service
    for task in view.tasks():
        if task.status.state.dead or task.desired_state > TaskState.RUNNING:
            continue
        if task.service_id and view.service(task.service_id) is None:
            continue
        if any(joined.network.id == network.id for joined in task.networks_attachments):
            return task
    return None


def _asks_for(service: Service, network: Network) -> bool:
    if network.spec.ingress and defaults.publishes_on_ingress(service.spec):
        return True
    return any(wish.target == network.id for wish in defaults.networks(service.spec))


def _check_request(request: NetworkCreate) -> None:
    check_network_name(request.name)
    if request.driver not in ("", "overlay"):
        raise InvalidArgument(
            f"a network of the whole swarm needs the driver overlay, not {request.driver}"
        )
    if request.scope not in ("", "swarm"):
        raise InvalidArgument(f"an overlay network has the scope swarm, not {request.scope}")
    if request.enable_ipv6:
        raise Unimplemented("IPv6 on networks of the swarm is not supported yet")
    if request.enable_ipv4 is False:
        raise Unimplemented("a network of the swarm without IPv4 is not supported")
    if request.config_only or request.config_from is not None:
        raise InvalidArgument("a network of the swarm cannot be, or come from, a config-only one")
    for option in sorted(request.options):
        raise Unimplemented(f'the option "{option}" of overlay networks is not supported')
    if request.ipam is not None and request.ipam.driver not in ("", "default"):
        raise Unimplemented(f"the IPAM driver {request.ipam.driver} is not supported: use default")


def _check_subnet(view: View, config: IPAMConfig) -> None:
    """Refuse a subnet that is none, that others have, or that its own settings do not fit."""
    if not config.subnet:
        if config.gateway or config.ip_range or config.aux_addresses:
            raise InvalidArgument("every ip-range, gateway or aux-address needs its --subnet")
        return
    if check_subnet(config).version != 4:
        raise Unimplemented("IPv6 on networks of the swarm is not supported yet")
    for other in view.networks():
        taken = [known.subnet for known in (*other.ipam.config, *other.spec.ipam.config)]
        if theirs := overlapping(config.subnet, filter(None, taken)):
            raise InvalidArgument(
                "invalid pool request: Pool overlaps with other one on this address space: "
                f"{config.subnet} and {theirs} of network {other.spec.name}"
            )
