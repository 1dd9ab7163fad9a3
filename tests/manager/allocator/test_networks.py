"""Networks get subnets from the cluster's pool, and VXLAN numbers."""

from __future__ import annotations

from msgspec.structs import replace

from skep.manager.allocator import Allocator
from skep.manager.observations import NOTHING_SEEN
from skep.manager.room import Plan
from skep.model.network import IPAM, IPAMConfig, Network, NetworkSpec
from skep.model.service import NetworkAttachmentConfig
from skep.model.states import TaskState
from skep.model.task import NetworkAttachment, NetworkRef, TaskStatus
from skep.store.change import Update
from skep.store.memory import MemoryView
from skep.testing.builders import at, cluster, ids, service, task, view


def network(
    name: str,
    *,
    subnet: str = "",
    ingress: bool = False,
    born: float = 1,
    driver: str = "overlay",
    gateway: str = "",
) -> Network:
    ipam = IPAM(config=[IPAMConfig(subnet=subnet, gateway=gateway)]) if subnet else IPAM()
    spec = NetworkSpec(name=name, driver=driver, ingress=ingress, ipam=ipam)
    return Network(id=name, created_at=at(born), spec=spec)


def plan(seen: MemoryView) -> Plan:
    room = Allocator()
    return room.plan(seen, NOTHING_SEEN, frozenset(room.everything(seen)), at(9), ids())


def given(net: Network, subnet: str, gateway: str, vni: int) -> Update:
    ipam = IPAM(config=[IPAMConfig(subnet=subnet, gateway=gateway)])
    return Update(replace(net, ipam=ipam, vni=vni))


def test_the_ingress_network_is_the_first_and_the_rest_follow_by_age() -> None:
    ingress = network("z", ingress=True)
    first, second = network("b", born=2), network("a", born=3)
    assert plan(view(cluster(), second, first, ingress)).changes == (
        given(ingress, "10.0.0.0/24", "10.0.0.1", 4096),
        given(first, "10.0.1.0/24", "10.0.1.1", 4097),
        given(second, "10.0.2.0/24", "10.0.2.1", 4098),
    )


def test_the_pool_and_size_of_the_cluster_are_used() -> None:
    small = replace(cluster(), default_addr_pool=["10.8.0.0/16", "10.9.0.0/16"], subnet_size=16)
    nets = [network("a"), network("b", born=2)]
    assert plan(view(small, nets)).changes == (
        given(nets[0], "10.8.0.0/16", "10.8.0.1", 4096),
        given(nets[1], "10.9.0.0/16", "10.9.0.1", 4097),
    )


def test_a_subnet_that_was_asked_for_is_given_and_gone_around() -> None:
    asked = network("a", subnet="10.0.0.0/23", gateway="10.0.1.9", born=1)
    other = network("b", born=2)
    assert plan(view(cluster(), other, asked)).changes == (
        given(asked, "10.0.0.0/23", "10.0.1.9", 4096),
        given(other, "10.0.2.0/24", "10.0.2.1", 4097),
    )


def test_the_subnet_and_number_of_a_network_that_went_are_given_again() -> None:
    has = replace(network("a"), ipam=IPAM(config=[IPAMConfig(subnet="10.0.1.0/24")]), vni=4097)
    assert plan(view(cluster(), has, network("b"))).changes == (
        given(network("b"), "10.0.0.0/24", "10.0.0.1", 4096),
    )


def test_a_subnet_is_given_again_when_the_last_task_of_its_network_is_dead() -> None:
    """A network can be removed while its tasks stop: their bridges are still on the nodes."""
    there = [NetworkAttachment(network=NetworkRef(id="gone"), addresses=["10.0.0.7/24"])]
    stopping = task("t", service(1), desired=TaskState.REMOVE, networks_attachments=there)
    chosen, asked = network("a"), network("b", subnet="10.0.0.0/25", born=2)
    waiting = plan(view(cluster(), chosen, asked, stopping))
    assert waiting.changes == (given(chosen, "10.0.1.0/24", "10.0.1.1", 4096),)
    dead = replace(stopping, status=TaskStatus(state=TaskState.SHUTDOWN))
    assert plan(view(cluster(), chosen, dead)).changes == (
        given(chosen, "10.0.0.0/24", "10.0.0.1", 4096),
    )


def test_the_nodes_own_networks_get_nothing() -> None:
    assert plan(view(cluster(), network("host", driver="host"))).changes == ()


def test_a_pool_that_is_used_up_is_said_on_the_tasks_that_wait_for_it() -> None:
    tiny = replace(cluster(), default_addr_pool=["10.8.0.0/24"])
    has = replace(network("a"), ipam=IPAM(config=[IPAMConfig(subnet="10.8.0.0/24")]), vni=4096)
    waiting = network("b")
    web = service(1)
    template = replace(web.spec.task_template, networks=[NetworkAttachmentConfig(target="b")])
    web = replace(web, spec=replace(web.spec, task_template=template))
    new = task("t", web, on="", state=TaskState.NEW)
    reason = (
        "network b has no subnet: the cluster's address pool (10.8.0.0/24 cut in /24) is used up; "
        "remove a network that is not used, or create this one with --subnet"
    )
    assert plan(view(tiny, has, waiting, web, new)).changes == (
        Update(replace(new, status=replace(new.status, err=reason))),
    )
