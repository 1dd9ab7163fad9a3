"""Services get published ports and virtual addresses, and keep them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from skep.manager.allocator import Allocator
from skep.manager.observations import NOTHING_SEEN
from skep.model.base import Object
from skep.model.network import IPAM, IPAMConfig, Network, NetworkSpec
from skep.model.service import (
    Endpoint,
    EndpointSpec,
    EndpointVIP,
    NetworkAttachmentConfig,
    PortConfig,
    Service,
)
from skep.model.states import TaskState
from skep.model.task import Task
from skep.store.change import Update
from skep.testing.builders import at, cluster, ids, service, task, view, written


def network(name: str, subnet: str, ingress: bool = False) -> Network:
    spec = NetworkSpec(name=name, ingress=ingress)
    config = IPAMConfig(subnet=subnet, gateway=subnet.replace(".0/", ".1/").partition("/")[0])
    return Network(id=name, spec=spec, ipam=IPAM(config=[config]), vni=4096)


INGRESS = network("ingress", "10.0.0.0/24", ingress=True)
BACK = network("back", "10.0.1.0/24")


def wanting(
    *ports: PortConfig,
    name: str = "web",
    networks: Sequence[str] = (),
    mode: Literal["vip", "dnsrr"] = "vip",
    has: Endpoint | None = None,
) -> Service:
    bare = service(1, name=name)
    template = replace(
        bare.spec.task_template,
        networks=[NetworkAttachmentConfig(target=target) for target in networks],
    )
    spec = replace(
        bare.spec, task_template=template, endpoint_spec=EndpointSpec(mode=mode, ports=list(ports))
    )
    return replace(bare, spec=spec, endpoint=has or Endpoint())


def port(
    target: int,
    published: int = 0,
    mode: Literal["ingress", "host"] = "ingress",
    protocol: Literal["tcp", "udp", "sctp"] = "tcp",
) -> PortConfig:
    return PortConfig(
        target_port=target, published_port=published, publish_mode=mode, protocol=protocol
    )


def endpoints(*objects: Service) -> dict[str, Endpoint]:
    """The endpoints that services have after the plan."""
    seen = view(cluster(), INGRESS, BACK, *objects)
    room = Allocator()
    plan = room.plan(seen, NOTHING_SEEN, frozenset(room.everything(seen)), at(9), ids())
    return {service.id: service.endpoint for service in written(plan, Service)}


def numbers(endpoint: Endpoint) -> list[int]:
    return [p.published_port for p in endpoint.ports]


def test_a_service_gets_an_address_on_each_network_ingress_first() -> None:
    web = wanting(port(80, 8080), networks=["back"])
    assert web.spec.endpoint_spec is not None
    assert endpoints(web) == {
        "web": Endpoint(
            spec=web.spec.endpoint_spec,
            ports=[port(80, 8080)],
            virtual_ips=[
                EndpointVIP(network_id="ingress", addr="10.0.0.2/24"),
                EndpointVIP(network_id="back", addr="10.0.1.2/24"),
            ],
        )
    }


def test_a_service_without_virtual_address_gets_none() -> None:
    web = wanting(port(80, 8080, mode="host"), networks=["back"], mode="dnsrr")
    assert web.spec.endpoint_spec is not None
    assert endpoints(web) == {
        "web": Endpoint(spec=web.spec.endpoint_spec, ports=[port(80, 8080, mode="host")])
    }


def test_an_open_port_is_the_first_free_one_of_its_protocol() -> None:
    a = wanting(port(80), port(81), port(82, protocol="udp"), name="a")
    b = wanting(port(80), port(90, 30002), name="b")
    given = endpoints(a, b)
    assert numbers(given["a"]) == [30000, 30001, 30000]
    assert numbers(given["b"]) == [30003, 30002]


def test_a_chosen_port_and_the_addresses_survive_updates() -> None:
    before = endpoints(wanting(port(80), networks=["back"]))["web"]
    after = wanting(port(443), port(80), networks=["back"], has=before)
    given = endpoints(after)["web"]
    assert numbers(given) == [30001, 30000]
    assert given.virtual_ips == before.virtual_ips


def test_nothing_is_written_for_a_service_that_has_all_it_wants() -> None:
    web = wanting(port(80), networks=["back"])
    assert endpoints(replace(web, endpoint=endpoints(web)["web"])) == {}


def test_a_network_that_is_left_gives_its_address_back() -> None:
    before = endpoints(wanting(port(80, 80), networks=["back"]))["web"]
    given = endpoints(wanting(port(80, 80), has=before))
    assert given["web"].virtual_ips == before.virtual_ips[:1]


def test_two_services_cannot_have_one_port_and_the_later_one_says_so() -> None:
    """Control refuses this at create; two creates at the same moment can still meet here."""
    a = replace(wanting(port(80, 80), name="a"), created_at=at(1))
    b = replace(wanting(port(80, 80), name="b"), created_at=at(2))
    new = task("t", b, on="", state=TaskState.NEW)
    seen = view(cluster(), INGRESS, BACK, a, b, new)
    room = Allocator()
    plan = room.plan(seen, NOTHING_SEEN, frozenset(room.everything(seen)), at(9), ids())
    reason = "port '80' is already in use by service a as an ingress port"
    assert [each.id for each in written(plan, Object)] == ["a", "t"]
    assert plan.changes[1] == Update(replace(new, status=replace(new.status, err=reason)))


def test_when_every_port_is_taken_the_service_says_so() -> None:
    hog = wanting(*[port(1, number) for number in range(30000, 32768)], name="hog")
    web = wanting(port(80))
    new = task("t", web, on="", state=TaskState.NEW)
    seen = view(cluster(), INGRESS, hog, web, new)
    room = Allocator()
    plan = room.plan(seen, NOTHING_SEEN, frozenset(room.everything(seen)), at(9), ids())
    refused = written(plan, Object)[-1]
    assert isinstance(refused, Task)
    assert refused.status.err == (
        "no free port left for tcp in 30000-32767: name the port to publish, or remove services"
    )
