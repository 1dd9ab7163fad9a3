"""Cluster networks: made, found, kept while they are used."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from skep.kit.errors import Conflict, InvalidArgument, NotFound, Unimplemented
from skep.kit.where import Where, anything
from skep.manager.control import Control
from skep.model.network import IPAM, IPAMConfig, Network, NetworkCreate, NetworkSpec
from skep.model.service import EndpointSpec, NetworkAttachmentConfig, PortConfig
from skep.model.states import TaskState
from skep.model.task import NetworkAttachment, NetworkRef
from skep.store.change import Create, Update
from skep.store.store import Store
from skep.testing.builders import spec, task


def wish(name: str = "back", **fields: Any) -> NetworkCreate:
    return NetworkCreate(name=name, driver="overlay", **fields)


def pool(subnet: str = "", *, gateway: str = "", ip_range: str = "") -> IPAM:
    return IPAM(config=[IPAMConfig(subnet=subnet, gateway=gateway, ip_range=ip_range)])


def found(
    control: Control, where: Where[Network] = anything, *, used: bool | None = None
) -> list[str]:
    return [network.spec.name for network in control.networks.find(where, used=used)]


async def test_a_network_is_stored_as_it_was_asked_for(control: Control) -> None:
    made = await control.networks.create(wish(labels={"a": "b"}, attachable=True, internal=True))
    network = control.networks.get("back")
    assert network.id == made
    assert network.spec == NetworkSpec(
        name="back", labels={"a": "b"}, attachable=True, internal=True
    )
    assert (network.ipam, network.vni) == (IPAM(), 0)


async def test_networks_are_found_by_name_by_use_and_by_what_is_asked_of_them(
    control: Control,
) -> None:
    await control.networks.create(wish(labels={"tier": "back"}))
    await control.services.create(
        replace(spec(name="web"), networks=[NetworkAttachmentConfig(target="back")])
    )
    assert found(control) == ["back", "ingress"]
    assert found(control, lambda network: "tier" in network.spec.labels) == ["back"]
    assert found(control, used=False) == ["ingress"]
    assert found(control, used=True) == ["back"]


async def test_the_hosts_own_networks_can_be_asked_for_by_name(control: Control) -> None:
    assert control.networks.get("host").id == "host-id"
    with pytest.raises(InvalidArgument, match="host is a pre-defined network"):
        await control.networks.remove("host")


async def test_a_network_stays_while_a_service_or_a_running_task_uses_it(
    control: Control, store: Store
) -> None:
    made = await control.networks.create(wish())
    joining = replace(spec(name="web"), networks=[NetworkAttachmentConfig(target="back")])
    created = await control.services.create(joining)
    with pytest.raises(InvalidArgument, match=f"network {made} is in use by service {created}"):
        await control.networks.remove("back")

    web = control.services.get("web")
    there = [NetworkAttachment(network=NetworkRef(id=made))]
    running = task("a", web, on="w1", networks_attachments=there)
    await store.commit([Create(running)])
    await store.commit([Update(replace(web, spec=spec(name="web")))])
    with pytest.raises(InvalidArgument, match=f"network {made} is in use by task a"):
        await control.networks.remove("back")

    stored = store.view.task("a")
    assert stored is not None
    await store.commit([Update(replace(stored, desired_state=TaskState.REMOVE))])
    await control.networks.remove("back")
    with pytest.raises(NotFound, match="network back not found"):
        control.networks.get("back")


async def test_tasks_of_a_removed_service_hold_no_network(control: Control, store: Store) -> None:
    """They stop, though nobody has told them yet: `docker stack rm` asks in that moment."""
    made = await control.networks.create(wish())
    await control.services.create(
        replace(spec(name="web"), networks=[NetworkAttachmentConfig(target="back")])
    )
    there = [NetworkAttachment(network=NetworkRef(id=made))]
    web = control.services.get("web")
    await store.commit([Create(task("a", web, on="w1", networks_attachments=there))])
    await control.services.remove("web")
    await control.networks.remove("back")
    with pytest.raises(NotFound, match="network back not found"):
        control.networks.get("back")


async def test_the_ingress_network_stays_while_a_port_is_published(control: Control) -> None:
    port = PortConfig(target_port=80, published_port=80)
    created = await control.services.create(
        replace(spec(name="web"), endpoint_spec=EndpointSpec(ports=[port]))
    )
    with pytest.raises(InvalidArgument, match=f"in use by service {created}"):
        await control.networks.remove("ingress")
    with pytest.raises(InvalidArgument, match=r"ingress network \(ingress-id\) is already present"):
        await control.networks.create(wish(ingress=True))
    await control.services.remove("web")
    await control.networks.remove("ingress")
    await control.networks.create(wish("mesh", ingress=True))


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (wish(""), InvalidArgument, "invalid network name: it is empty"),
        (wish("a/b"), InvalidArgument, "it must not have a slash"),
        (wish("ingress"), Conflict, "network ingress already exists"),
        (replace(wish(), driver="bridge"), InvalidArgument, "needs the driver overlay"),
        (wish(scope="local"), InvalidArgument, "has the scope swarm"),
        (wish(enable_ipv6=True), Unimplemented, "IPv6"),
        (wish(enable_ipv4=False), Unimplemented, "without IPv4"),
        (wish(config_only=True), InvalidArgument, "config-only"),
        (wish(options={"encrypted": ""}), Unimplemented, 'the option "encrypted"'),
        (wish(ipam=IPAM(driver="x")), Unimplemented, "the IPAM driver x"),
        (wish(ipam=pool(gateway="10.1.0.1")), InvalidArgument, "needs its --subnet"),
        (wish(ipam=pool(subnet="ten")), InvalidArgument, "invalid subnet ten: invalid CIDR"),
        (wish(ipam=pool(subnet="10.1.0.1/24")), InvalidArgument, "it should be 10.1.0.0/24"),
        (wish(ipam=pool(subnet="fd00::/64")), Unimplemented, "IPv6"),
        (
            wish(ipam=pool(subnet="10.1.0.0/24", gateway="10.2.0.1")),
            InvalidArgument,
            "invalid gateway 10.2.0.1: parent subnet 10.1.0.0/24 doesn't contain this",
        ),
        (
            wish(ipam=pool(subnet="10.1.0.0/24", ip_range="10.1.0.0/16")),
            InvalidArgument,
            "invalid ip-range 10.1.0.0/16: CIDR block is bigger than its parent",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused(
    control: Control, request_: NetworkCreate, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await control.networks.create(request_)
    assert found(control) == ["ingress"]


async def test_subnets_do_not_overlap(control: Control) -> None:
    await control.networks.create(wish("a", ipam=pool(subnet="10.1.0.0/16")))
    with pytest.raises(InvalidArgument, match="Pool overlaps with other one on this address space"):
        await control.networks.create(wish("b", ipam=pool(subnet="10.1.2.0/24")))
