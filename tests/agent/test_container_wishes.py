"""A task as the container that its node is asked for."""

from __future__ import annotations

from msgspec.structs import replace

from skep.agent.container import container_wish, managed_labels
from skep.engine import EndpointWish, HostEntry, PortWish
from skep.engine.containers.wish import in_dockers_words
from skep.model.container import EndpointSettings, PortBinding
from skep.model.network import Network, NetworkSpec
from skep.model.service import (
    ContainerSpec,
    DiscreteGenericResource,
    GenericResource,
    Limit,
    Mount,
    NamedGenericResource,
    PortConfig,
    ResourceRequirements,
    TaskSpec,
)
from skep.model.task import NetworkAttachment, NetworkName, NetworkRef, Task
from skep.testing import builders as b

NODE = b.node("n1", labels={"zone": "west"})


def a_task(container: ContainerSpec, **fields: object) -> Task:
    spec = TaskSpec(container_spec=container)
    return replace(b.task("t1", b.service(name="web"), slot=2), spec=spec, **fields)


def test_command_replaces_the_entrypoint_and_args_the_command() -> None:
    wish = container_wish(a_task(ContainerSpec(image="app", command=["/run"], args=["-v"])), NODE)
    assert (wish.config.entrypoint, wish.config.cmd) == (["/run"], ["-v"])
    wish = container_wish(a_task(ContainerSpec(image="app")), NODE)
    assert (wish.config.entrypoint, wish.config.cmd) == (None, None)


def test_a_task_s_container_is_known_by_its_labels() -> None:
    labels = managed_labels(a_task(ContainerSpec(image="app")))
    assert labels == {
        "com.docker.swarm.node.id": "n1",
        "com.docker.swarm.service.id": "web",
        "com.docker.swarm.service.name": "web",
        "com.docker.swarm.task": "",
        "com.docker.swarm.task.id": "t1",
        "com.docker.swarm.task.name": "web.2.t1",
    }


def test_templates_are_filled_in_env_hostname_and_mounts() -> None:
    container = ContainerSpec(
        image="app",
        hostname="{{.Service.Name}}-{{.Task.Slot}}",
        env=['ZONE={{index .Node.Labels "zone"}}', "PLAIN=x"],
        mounts=[Mount(type="volume", source="data-{{ .Task.Slot }}", target="/data")],
    )
    wish = container_wish(a_task(container), NODE)
    assert wish.config.hostname == "web-2"
    assert wish.config.env == ["ZONE=west", "PLAIN=x"]
    assert wish.host.mounts[0].source == "data-2"


def test_limits_and_stop_grace() -> None:
    task = a_task(ContainerSpec(image="app", stop_grace_period=1_500_000_000))
    limits = ResourceRequirements(limits=Limit(nano_cpus=500_000_000, memory_bytes=2**26, pids=9))
    task = replace(task, spec=replace(task.spec, resources=limits))
    wish = container_wish(task, NODE)
    host = wish.host
    assert (host.nano_cpus, host.memory, host.pids_limit) == (500_000_000, 2**26, 9)
    assert wish.config.stop_timeout == 2


def test_host_ports_are_bound_and_ingress_ports_are_not() -> None:
    ports = [
        PortConfig(target_port=80, published_port=8080, publish_mode="host"),
        PortConfig(target_port=81, published_port=8081),
    ]
    wish = container_wish(a_task(ContainerSpec(image="app"), ports=ports), NODE)
    assert wish.ports == (PortWish(port=80, host_port=8080),)
    shown = in_dockers_words(wish)
    assert shown.host.port_bindings == {"80/tcp": [PortBinding(host_port="8080")]}
    assert set(shown.config.exposed_ports) == {"80/tcp"}


def test_cluster_networks_are_joined_at_the_manager_s_address() -> None:
    network = Network(id="net1", spec=NetworkSpec(name="back"))
    attachment = NetworkAttachment(
        network=NetworkRef(id=network.id, spec=NetworkName(name="back")),
        addresses=["10.0.1.5/24"],
        aliases=["api"],
    )
    wish = container_wish(
        a_task(ContainerSpec(image="app"), networks_attachments=[attachment]), NODE
    )
    assert wish.host.network_mode == "net1"
    settings = EndpointSettings(aliases=["api"])
    assert wish.endpoints == (
        EndpointWish(network="net1", settings=settings, addresses=("10.0.1.5/24",)),
    )


def test_extra_hosts_come_in_the_order_of_a_hosts_file() -> None:
    wish = container_wish(a_task(ContainerSpec(image="app", hosts=["10.0.0.9 db db.local"])), NODE)
    assert wish.hosts == (HostEntry("db", "10.0.0.9"), HostEntry("db.local", "10.0.0.9"))
    assert in_dockers_words(wish).host.extra_hosts == ["db:10.0.0.9", "db.local:10.0.0.9"]


def test_generic_resources_reach_the_container_as_env() -> None:
    given = [
        GenericResource(named_resource_spec=NamedGenericResource(kind="gpu", value="b")),
        GenericResource(named_resource_spec=NamedGenericResource(kind="gpu", value="a")),
        GenericResource(discrete_resource_spec=DiscreteGenericResource(kind="ssd", value=2)),
    ]
    task = a_task(ContainerSpec(image="app"), assigned_generic_resources=given)
    config = container_wish(task, NODE).config
    assert config.env == [
        "DOCKER_RESOURCE_GPU=b,a",
        "DOCKER_RESOURCE_SSD=2",
    ]
