"""Names derived from ids, and the small decisions of this room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skep.network.conntrack import Flows, stale_flows
from skep.network.names import Names, attachment_mac, bridge_mac, free_ifname
from skep.network.sandboxes import default_routes
from skep.network.values import Attachment, Backend, Bridge, PublishedPort
from skep.testing.netlab import attachment

SUFFIX = st.text("abcdefghijklmnopqrstuvwxyz0123456789", max_size=12)


@given(SUFFIX, st.text(min_size=1))
def test_link_names_fit_into_the_kernel_s_fifteen_characters(suffix: str, id_: str) -> None:
    names = Names(suffix)
    for name in (names.bridge(Bridge(id=id_, subnets=())), names.veth(id_, "net")):
        assert len(name) <= 15


def test_names_differ_by_instance_sandbox_and_network() -> None:
    veths = {
        Names(suffix).veth(box, net)
        for suffix in ("", "a", "longer-than-four", "longer-than-five")
        for box in ("box", "box2")
        for net in ("net", "net2")
    }
    assert len(veths) == 16


def test_a_chosen_link_name_is_used() -> None:
    assert Names("t").bridge(Bridge(id="net", subnets=(), link="docker0")) == "docker0"


def test_a_mac_follows_from_the_address_unless_chosen() -> None:
    assert attachment_mac(attachment(2)) == "02:42:ac:11:00:02"
    assert attachment_mac(attachment(2, mac="AA:BB:CC:00:00:01")) == "aa:bb:cc:00:00:01"
    six = Attachment(network_id="n", ifname="eth0", interface_addresses=("fd00::2/64",))
    assert attachment_mac(six).startswith("02:")
    assert bridge_mac("a") != bridge_mac("b")


def test_the_first_free_interface_name_is_chosen() -> None:
    assert free_ifname([]) == "eth0"
    assert free_ifname(["eth0", "eth2"]) == "eth1"


def test_the_way_out_is_the_highest_priority_s_then_the_first_interface_s() -> None:
    first, second = attachment(2, 17, "eth2"), attachment(2, 18, "eth10")
    assert default_routes([second, first]) == {4: ("eth2", "172.17.0.1")}
    raised = attachment(2, 18, "eth10", gateway_priority=1)
    assert default_routes([first, raised]) == {4: ("eth10", "172.18.0.1")}


def test_each_ip_version_has_a_way_out_of_its_own() -> None:
    four = attachment(2, 17, "eth0")
    six = attachment(2, 18, "eth1", gateways=("fd00::1",))
    assert default_routes([four, six]) == {4: ("eth0", "172.17.0.1"), 6: ("eth1", "fd00::1")}


def test_no_gateway_is_no_way_out() -> None:
    assert default_routes([attachment(2, gateways=())]) == {}


A, B = Backend(address="172.17.0.2", port=53), Backend(address="172.17.0.3", port=53)


def udp(*backends: Backend) -> tuple[PublishedPort, ...]:
    return (PublishedPort(host_port=53, backends=backends, protocol="udp"),)


def test_udp_flows_are_forgotten_for_new_ports_and_lost_backends_only() -> None:
    assert stale_flows((), udp(A)) == {Flows(53)}
    assert stale_flows(udp(A), udp(A, B)) == frozenset()
    assert stale_flows(udp(A, B), udp(B)) == {Flows(53, A)}
    assert stale_flows(udp(A), ()) == {Flows(53, A)}
    tcp = (PublishedPort(host_port=80, backends=(A,)),)
    assert stale_flows((), tcp) == frozenset()
