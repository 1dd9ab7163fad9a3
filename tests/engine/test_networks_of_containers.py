"""Networks as objects: made, joined, left, removed; names and ports as docker has them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skep.kit.errors import Conflict, Forbidden, Internal, InvalidArgument, NotFound, Unimplemented
from skep.model.base import Version
from skep.model.container import (
    EndpointIPAMConfig,
    EndpointSettings,
    NetworkingConfig,
    PortBinding,
)
from skep.model.network import IPAM, IPAMConfig, Network, NetworkCreate, NetworkSpec
from skep.network.values import Backend, PublishedPort
from skep.testing.engine_host import EngineHost

LAST_ADDRESS = "awk '/^Address/ {a=$2} END {print a}'"
"""Of what nslookup says; the static busybox's own wget cannot resolve names."""
FREE = ["0", "0", "2147483647"]
SERVE = "mkdir -p /www; echo {} > /www/index.html; httpd -f -p 80 -h /www"


async def test_the_three_predefined_networks_are_there_and_stay(host: EngineHost) -> None:
    networks = host.engine.networks
    assert {row.name for row in await networks.list()} == {"bridge", "host", "none"}
    before = (await networks.inspect("bridge")).id
    with pytest.raises(Forbidden, match="bridge is a pre-defined network and cannot be removed"):
        await networks.remove("bridge")
    engine = await host.restart()
    assert (await engine.networks.inspect("bridge")).id == before


async def test_containers_of_a_user_network_find_each_other_by_name(host: EngineHost) -> None:
    await host.engine.networks.create(NetworkCreate(name="app"))
    wish = NetworkingConfig(endpoints_config={"app": EndpointSettings(aliases=["db"])})
    await host.shell(
        SERVE.format("hello"), name="server", host={"network_mode": "app"}, networking_config=wish
    )
    for name in ("server", "db"):
        script = f"sleep 0.2; wget -q -O - http://$(nslookup {name} | {LAST_ADDRESS})/"
        assert await host.output(script, host={"network_mode": "app"}) == "hello\n"


async def test_a_network_in_use_cannot_be_removed(host: EngineHost) -> None:
    network_id = await host.engine.networks.create(NetworkCreate(name="app"))
    container_id = await host.run(name="web", host={"network_mode": "app"})
    shown = await host.engine.networks.inspect("app")
    assert [each.name for each in shown.containers.values()] == ["web"]
    with pytest.raises(Forbidden) as refused:
        await host.engine.networks.remove("app")
    assert str(refused.value).startswith(
        f"error while removing network: network app id {network_id} has active endpoints"
    )
    await host.engine.containers.remove(container_id, force=True)
    await host.engine.networks.remove("app")
    with pytest.raises(NotFound, match="network app not found"):
        await host.engine.networks.inspect("app")


async def test_what_cannot_be_a_network_is_refused(host: EngineHost) -> None:
    networks = host.engine.networks
    await networks.create(NetworkCreate(name="app", ipam=ipam("10.11.0.0/16")))
    refusals = [
        (NetworkCreate(name="app"), Conflict, "network with name app already exists"),
        (NetworkCreate(name="in/valid"), InvalidArgument, "invalid network name"),
        (NetworkCreate(name="b", driver="macvlan"), NotFound, "plugin macvlan"),
        (NetworkCreate(name="b", driver="host"), Forbidden, 'only one instance of "host"'),
        (NetworkCreate(name="b", ipam=ipam("10.11.7.0/24")), Forbidden, "Pool overlaps"),
        (NetworkCreate(name="b", ipam=ipam("10.12.0.1/16")), InvalidArgument, "invalid subnet"),
        (NetworkCreate(name="b", config_only=True), Unimplemented, "ConfigOnly"),
        (NetworkCreate(name="b", options={"x.y": "z"}), Unimplemented, "x.y"),
    ]
    for wish, kind, words in refusals:
        with pytest.raises(kind, match=words):
            await networks.create(wish)
    assert {row.name for row in await networks.list(lambda row: row.name == "app")} == {"app"}


async def test_a_container_may_have_the_address_that_it_asks_for(host: EngineHost) -> None:
    await host.engine.networks.create(NetworkCreate(name="app", ipam=ipam("10.11.0.0/16")))
    await host.run(name="web", host={"network_mode": "app"}, networking_config=at("10.11.0.9"))
    shown = (await host.engine.containers.inspect("web")).network_settings.networks["app"]
    assert (shown.ip_address, shown.ip_prefix_len, shown.gateway) == ("10.11.0.9", 16, "10.11.0.1")
    twin = await host.create(host={"network_mode": "app"}, networking_config=at("10.11.0.9"))
    with pytest.raises(Forbidden, match="Address already in use"):
        await host.engine.containers.start(twin)
    with pytest.raises(InvalidArgument, match="user defined networks only"):
        await host.create(networking_config=at("172.17.0.9", "bridge"))


async def test_connect_and_disconnect_change_a_running_container(host: EngineHost) -> None:
    await host.engine.networks.create(NetworkCreate(name="app"))
    id_ = await host.run(name="web")
    await host.engine.containers.connect("web", "app")
    with pytest.raises(Forbidden, match="already exists in network app"):
        await host.engine.containers.connect("web", "app")
    assert set((await host.engine.containers.inspect(id_)).network_settings.networks) == {
        "bridge",
        "app",
    }
    await host.engine.containers.disconnect("web", "app")
    with pytest.raises(Forbidden, match="is not connected to network app"):
        await host.engine.containers.disconnect("web", "app")
    await host.engine.networks.remove("app")


async def test_a_published_port_leads_to_the_container(host: EngineHost) -> None:
    id_ = await host.shell(
        SERVE.format("hello"), host={"port_bindings": {"80/tcp": [PortBinding(host_port="8080")]}}
    )
    shown = (await host.engine.containers.inspect(id_)).network_settings.ports
    assert shown == {
        "80/tcp": [
            PortBinding(host_ip="0.0.0.0", host_port="8080"),
            PortBinding(host_ip="::", host_port="8080"),
        ]
    }
    assert "hello" in await answer("127.0.0.1", 8080)
    twin = await host.create(host={"port_bindings": {"80/tcp": [PortBinding(host_port="8080")]}})
    with pytest.raises(Internal, match=r"Bind for .*:8080 failed: port is already allocated"):
        await host.engine.containers.start(twin)
    await host.engine.containers.stop(id_, timeout_s=0)
    await host.engine.containers.start(twin)


async def test_published_ports_survive_a_restart_of_the_engine(host: EngineHost) -> None:
    id_ = await host.shell(SERVE.format("hello"), host={"port_bindings": {"80/tcp": []}})
    before = (await host.engine.containers.inspect(id_)).network_settings.ports
    engine = await host.restart()
    assert (await engine.containers.inspect(id_)).network_settings.ports == before
    port = (before["80/tcp"] or [PortBinding()])[0].host_port
    assert "hello" in await answer("127.0.0.1", int(port))


async def test_host_none_and_another_containers_network(host: EngineHost) -> None:
    links = "ls /sys/class/net | tr '\\n' ' '"
    assert await host.output(links, host={"network_mode": "none"}) == "lo "
    assert "wire" in await host.output(links, host={"network_mode": "host"})
    first = await host.run(name="first")
    address = (await host.engine.containers.inspect(first)).network_settings.ip_address
    shown = await host.output("ip addr; cat /etc/hosts", host={"network_mode": "container:first"})
    assert shown.count(address) == 2  # of the interface, and in /etc/hosts
    await host.engine.containers.stop(first, timeout_s=0)
    second = await host.create(host={"network_mode": "container:first"})
    with pytest.raises(Conflict, match="non running container"):
        await host.engine.containers.start(second)


async def test_low_ports_and_ping_are_free_unless_the_network_s_owner_says_otherwise(
    host: EngineHost,
) -> None:
    show = "cd /proc/sys/net/ipv4; cat ip_unprivileged_port_start ping_group_range"
    for mode in ("bridge", "none"):
        assert (await host.output(show, host={"network_mode": mode})).split() == FREE
    own = {"sysctls": {"net.ipv4.ip_unprivileged_port_start": "555"}}
    assert (await host.output(show, host=own)).split() == ["555", *FREE[1:]]
    await host.run(name="owner", host=own)
    shared = await host.output(show, host={"network_mode": "container:owner"})
    assert shared.split() == ["555", *FREE[1:]]


async def test_hosts_and_dns_are_what_was_asked_for(host: EngineHost) -> None:
    words = {
        "extra_hosts": ["db:10.0.0.9", "gate:host-gateway"],
        "dns": ["10.9.9.9"],
        "dns_search": ["example.org"],
        "dns_options": ["timeout:1"],
    }
    shown = await host.output("cat /etc/hosts /etc/resolv.conf", hostname="box", host=words)
    gateway = (await host.engine.networks.inspect("bridge")).ipam.config[0].gateway
    for line in (
        "10.0.0.9\tdb", f"{gateway}\tgate", "\tbox", "nameserver 10.9.9.9",
        "search example.org", "options timeout:1",
    ):  # fmt: skip
        assert line in shown


async def test_in_the_host_s_network_its_own_files_are_read(host: EngineHost) -> None:
    """As docker's containers do, unless something is added."""
    for path in ("/etc/hosts", "/etc/resolv.conf"):
        own = await host.output(f"cat {path}", host={"network_mode": "host"})
        assert own == Path(path).read_text()
    words = {"network_mode": "host", "extra_hosts": ["db:10.0.0.9"]}
    assert "10.0.0.9\tdb" in await host.output("cat /etc/hosts", host=words)


async def test_a_record_with_ports_and_hosts_in_docker_s_words_alone_is_understood(
    host: EngineHost,
) -> None:
    """As skep 0.1.0 wrote it."""
    words = {
        "port_bindings": {"80/tcp": [PortBinding(host_port="8080")]},
        "extra_hosts": ["db:10.0.0.9"],
    }
    id_ = await host.create(host=words)
    await host.engine.stop()
    path = host.settings.data_root / "containers" / id_ / "record.json"
    said = json.loads(path.read_text())
    for key in ("hosts", "wanted_ports"):
        del said[key]
    path.write_text(json.dumps(said))
    engine = await host.start()
    await engine.containers.start(id_)
    shown = await engine.containers.inspect(id_)
    assert [port and port[0].host_port for port in shown.network_settings.ports.values()] == [
        "8080"
    ]
    assert "10.0.0.9\tdb" in Path(shown.hosts_path).read_text()


async def test_prune_takes_networks_that_nobody_is_on(host: EngineHost) -> None:
    for name in ("idle", "busy"):
        await host.engine.networks.create(NetworkCreate(name=name))
    await host.run(host={"network_mode": "busy"})
    assert await host.engine.networks.prune() == ["idle"]


async def test_a_cluster_network_has_the_managers_addresses_and_names(host: EngineHost) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    network = Network(
        id="net1cluster", version=Version(1), created_at=moment, updated_at=moment,
        spec=NetworkSpec(name="overlay1"), ipam=ipam("10.50.0.0/24", "10.50.0.1"), vni=4097,
    )  # fmt: skip
    networks = host.engine.networks
    await networks.ensure_cluster_network(network)
    await networks.ensure_cluster_network(network)
    wish = NetworkingConfig(
        endpoints_config={"net1cluster": at("10.50.0.7").endpoints_config["app"]}
    )
    await host.run(name="task", host={"network_mode": "net1cluster"}, networking_config=wish)
    networks.set_names("net1cluster", {"web": ["10.50.0.2"], "tasks.web": ["10.50.0.7"]})
    shown = (await host.engine.containers.inspect("task")).network_settings.networks["overlay1"]
    assert shown.ip_address == "10.50.0.7"
    script = "nslookup web; nslookup tasks.web; nslookup task"
    second = NetworkingConfig(
        endpoints_config={"net1cluster": at("10.50.0.8").endpoints_config["app"]}
    )
    answers = await host.output(
        script, host={"network_mode": "net1cluster"}, networking_config=second
    )
    assert "10.50.0.2" in answers
    assert answers.count("10.50.0.7") >= 2
    with pytest.raises(Conflict, match="has active endpoints"):
        await networks.remove_cluster_network("net1cluster")
    engine = await host.restart()
    assert (await engine.networks.inspect("overlay1")).scope == "swarm"
    await engine.containers.remove("task", force=True)
    await engine.networks.remove_cluster_network("net1cluster")


async def test_service_ports_are_all_that_was_last_wanted(host: EngineHost) -> None:
    id_ = await host.shell(SERVE.format("task"))
    address = (await host.engine.containers.inspect(id_)).network_settings.ip_address
    backends = (Backend(address=address, port=80),)
    await host.engine.networks.publish([PublishedPort(host_port=9000, backends=backends)])
    assert "task" in await answer("127.0.0.1", 9000)
    await host.engine.networks.publish([PublishedPort(host_port=9001, backends=backends)])
    assert "task" in await answer("127.0.0.1", 9001)
    with pytest.raises(ConnectionRefusedError):
        await answer("127.0.0.1", 9000, tries=1)
    await host.restart()
    assert "task" in await answer("127.0.0.1", 9001)
    await host.engine.networks.publish([])


async def answer(address: str, port: int, tries: int = 50) -> str:
    """What a web server says, when it has come up."""
    for _ in range(tries - 1):
        try:
            return await _get(address, port)
        except OSError:
            await asyncio.sleep(0.05)
    return await _get(address, port)


async def _get(address: str, port: int) -> str:
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    try:
        return (await reader.read()).decode()
    finally:
        writer.close()


def ipam(subnet: str, gateway: str = "") -> IPAM:
    return IPAM(config=[IPAMConfig(subnet=subnet, gateway=gateway)])


def at(address: str, network: str = "app") -> NetworkingConfig:
    wish = EndpointSettings(ipam_config=EndpointIPAMConfig(ipv4_address=address))
    return NetworkingConfig(endpoints_config={network: wish})
