"""Tasks get their addresses and ports, or the reason why not; what dies is free again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from skep.manager.allocator import Allocator
from skep.manager.observations import NOTHING_SEEN
from skep.manager.room import Plan
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
from skep.model.task import NetworkAttachment, NetworkName, NetworkRef, Task, TaskStatus
from skep.store.change import Event, Stored, Update
from skep.testing.builders import at, cluster, ids, service, task, view, written

TINY = "10.0.1.0/29"
"""Room for five: eight less the subnet's own, the broadcast and the gateway's."""


def network(name: str = "back", subnet: str = "10.0.1.0/24", *, ingress: bool = False) -> Network:
    config = IPAMConfig(subnet=subnet, gateway="10.0.1.1")
    return Network(
        id=name, spec=NetworkSpec(name=name, ingress=ingress), ipam=IPAM(config=[config]), vni=4096
    )


def joined(name: str = "back", *addresses: str, aliases: Sequence[str] = ()) -> NetworkAttachment:
    return NetworkAttachment(
        network=NetworkRef(id=name, spec=NetworkName(name=name)),
        addresses=list(addresses),
        aliases=list(aliases),
    )


def on_back(name: str = "web", vip: str = "10.0.1.2/24") -> Service:
    """A service on the network, its endpoint settled."""
    bare = service(3, name=name)
    wish = NetworkAttachmentConfig(target="back", aliases=["shop"])
    template = replace(bare.spec.task_template, networks=[wish])
    endpoint = Endpoint(
        spec=EndpointSpec(mode="vip"), virtual_ips=[EndpointVIP(network_id="back", addr=vip)]
    )
    return replace(bare, spec=replace(bare.spec, task_template=template), endpoint=endpoint)


WEB = on_back()


def new(task_id: str = "a", slot: int = 1, of: Service = WEB, **fields: Any) -> Task:
    return task(task_id, of, slot, on="", state=TaskState.NEW, **fields)


def holding(task_id: str, address: str, state: TaskState = TaskState.RUNNING) -> Task:
    return task(task_id, WEB, 9, state=state, networks_attachments=[joined("back", address)])


def plan(*objects: Stored | Sequence[Stored]) -> Plan:
    seen = view(cluster(), *objects)
    room = Allocator()
    return room.plan(seen, NOTHING_SEEN, frozenset(room.everything(seen)), at(9), ids())


def addresses(*objects: Stored | Sequence[Stored]) -> dict[str, list[str]]:
    return {
        task.id: task.networks_attachments[0].addresses
        for task in written(plan(*objects), Task)
        if task.networks_attachments
    }


def test_a_new_task_becomes_pending_with_its_address_and_aliases() -> None:
    status = TaskStatus(timestamp=at(9), state=TaskState.PENDING, message="pending task scheduling")
    attachments = [joined("back", "10.0.1.3/24", aliases=["shop"])]
    assert plan(network(), WEB, new()).changes == (
        Update(replace(new(), status=status, networks_attachments=attachments)),
    )


def test_a_task_without_networks_needs_nothing() -> None:
    bare = replace(service(1), endpoint=Endpoint(spec=EndpointSpec(mode="vip")))
    [pending] = written(plan(bare, new(of=bare)), Task)
    assert pending.status.state is TaskState.PENDING
    assert pending.networks_attachments == []


def test_a_published_task_stands_on_the_ingress_network_with_the_chosen_port() -> None:
    port = PortConfig(target_port=80)
    bare = service(1)
    web = replace(bare, spec=replace(bare.spec, endpoint_spec=EndpointSpec(ports=[port])))
    ingress = network("ingress", ingress=True)
    _, pending = written(plan(ingress, web, new(of=web)), Object)
    assert isinstance(pending, Task)
    assert pending.networks_attachments == [joined("ingress", "10.0.1.3/24")]
    assert pending.ports == [replace(port, published_port=30000)]


def test_the_hosts_own_network_gives_no_address() -> None:
    host = Network(id="host", spec=NetworkSpec(name="host", driver="host"))
    bare = service(1)
    wish = [NetworkAttachmentConfig(target="host")]
    template = replace(bare.spec.task_template, networks=wish)
    web = replace(
        bare,
        spec=replace(bare.spec, task_template=template),
        endpoint=Endpoint(spec=EndpointSpec(mode="vip")),
    )
    [pending] = written(plan(host, web, new(of=web)), Task)
    assert pending.networks_attachments == [joined("host")]


def test_no_two_tasks_get_one_address_and_none_gets_the_services() -> None:
    tasks = [new(name, slot) for slot, name in enumerate("abc", start=1)]
    assert addresses(network(), WEB, tasks) == {
        "a": ["10.0.1.3/24"],
        "b": ["10.0.1.4/24"],
        "c": ["10.0.1.5/24"],
    }


def test_the_address_of_a_dead_task_is_free_but_given_last() -> None:
    dead = holding("dead", "10.0.1.3/24", TaskState.FAILED)
    assert addresses(network(), WEB, dead, new()) == {"a": ["10.0.1.4/24"]}
    crowd = [holding(f"r{i}", f"10.0.1.{i}/29") for i in (4, 5, 6)]
    tight = on_back(vip="10.0.1.2/29")
    assert addresses(network(subnet=TINY), tight, dead, crowd, new()) == {"a": ["10.0.1.3/29"]}


def test_a_task_that_is_to_stop_keeps_its_address_until_it_is_dead() -> None:
    stopping = replace(holding("s", "10.0.1.3/24"), desired_state=TaskState.SHUTDOWN)
    assert addresses(network(), WEB, stopping, new()) == {"a": ["10.0.1.4/24"]}


def test_a_full_network_is_said_once_and_the_task_stays_new() -> None:
    crowd = [holding(f"r{i}", f"10.0.1.{i}/29") for i in (3, 4, 5, 6)]
    tight = on_back(vip="10.0.1.2/29")
    reason = (
        "network back has no free address left in 10.0.1.0/29: "
        "remove tasks, or use a network with a larger subnet"
    )
    refused = replace(new(), status=replace(new().status, err=reason))
    assert plan(network(subnet=TINY), tight, crowd, new()).changes == (Update(refused),)
    assert plan(network(subnet=TINY), tight, crowd, refused).changes == ()


def test_a_missing_network_is_said() -> None:
    [refused] = written(plan(WEB, new()), Task)
    assert refused.status.err == "the back network is missing: create it again"


@pytest.mark.parametrize("freed", ["dies", "removed"])
def test_a_task_that_waits_is_planned_again_when_an_address_is_freed(freed: str) -> None:
    crowd = [holding(f"r{i}", f"10.0.1.{i}/29") for i in (3, 4, 5, 6)]
    seen = view(cluster(), network(subnet=TINY), on_back(vip="10.0.1.2/29"), crowd, new())
    room = Allocator()
    keys = frozenset(room.everything(seen))
    [refused] = written(room.plan(seen, NOTHING_SEEN, keys, at(9), ids()), Task)
    said = Event("task", "update", new(), refused)
    died = replace(crowd[0], status=TaskStatus(state=TaskState.FAILED))
    gone = (
        Event("task", "update", crowd[0], died)
        if freed == "dies"
        else Event("task", "remove", crowd[0], None)
    )
    seen.apply(2, [said, gone])
    assert list(room.dirty(said, seen)) == []
    keys = frozenset(room.dirty(gone, seen))
    assert keys
    [pending] = written(room.plan(seen, NOTHING_SEEN, keys, at(10), ids()), Task)
    assert pending.networks_attachments[0].addresses == ["10.0.1.3/29"]
    assert pending.status.err == ""


def test_unwanted_tasks_and_tasks_of_removed_services_get_nothing() -> None:
    unwanted = new(desired=TaskState.REMOVE)
    assert plan(network(), WEB, unwanted).changes == ()
    assert plan(network(), new()).changes == ()
