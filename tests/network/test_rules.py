"""Rules as text: the tables in full (golden files), and changes as the difference only."""

from __future__ import annotations

from pathlib import Path

import pytest

from skep.network.rules import (
    IPV4,
    IPV6,
    BridgeRules,
    Family,
    PortKey,
    bridge_elements,
    host_table,
    port_changes,
    ports_of,
)
from skep.network.sandbox_rules import sandbox_table, virtual_changes
from skep.network.values import Backend, PublishedPort

GOLDEN = Path(__file__).parent / "golden"
ONE = (Backend(address="172.17.0.2", port=80),)
TWO = (*ONE, Backend(address="172.17.0.3", port=80))
KEY = PortKey("tcp", 8080)
WHERE = "ip skept"


@pytest.mark.parametrize("family", [IPV4, IPV6], ids=["ip", "ip6"])
def test_the_host_s_table(family: Family) -> None:
    assert host_table(family, "skept") == (GOLDEN / f"host_{family.ip}.nft").read_text()


def test_the_sandbox_s_table() -> None:
    assert sandbox_table("skep", 28653) == (GOLDEN / "sandbox.nft").read_text()


def test_a_sandbox_without_resolver_has_no_rule_for_it() -> None:
    assert "127.0.0.11" not in sandbox_table("skep", 0)


def test_bridges_are_said_whole() -> None:
    bridges = [
        BridgeRules("b", ("172.18.0.0/16", "fd00::/64"), internal=True, masquerade=False),
        BridgeRules("a", ("172.17.0.0/16",), internal=False, masquerade=True),
    ]
    assert bridge_elements(IPV4, "skept", bridges).splitlines() == [
        "flush set ip skept bridges",
        'add element ip skept bridges { "a", "b" }',
        "flush set ip skept internal",
        'add element ip skept internal { "b" }',
        "flush set ip skept same",
        'add element ip skept same { "a" . "a", "b" . "b" }',
        "flush set ip skept home",
        'add element ip skept home { "a" . 172.17.0.0/16, "b" . 172.18.0.0/16 }',
        "flush set ip skept masqueraded",
        "add element ip skept masqueraded { 172.17.0.0/16 }",
    ]
    assert 'home { "b" . fd00::/64 }' in bridge_elements(IPV6, "skept", bridges)


def test_a_new_port_is_a_chain_with_a_rule_and_an_element() -> None:
    assert port_changes(IPV4, "skept", {}, {KEY: ONE}).splitlines() == [
        f"add chain {WHERE} tcp-8080",
        f"add rule {WHERE} tcp-8080 meta l4proto tcp dnat to 172.17.0.2:80",
        f"add element {WHERE} published {{ tcp . 8080 : goto tcp-8080 }}",
    ]


def test_other_backends_replace_the_rule_only() -> None:
    choice = "numgen inc mod 2 map { 0 : 172.17.0.2 . 80, 1 : 172.17.0.3 . 80 }"
    assert port_changes(IPV4, "skept", {KEY: ONE}, {KEY: TWO}).splitlines() == [
        f"flush chain {WHERE} tcp-8080",
        f"add rule {WHERE} tcp-8080 meta l4proto tcp dnat to {choice}",
    ]


def test_the_last_backend_gone_turns_leading_into_refusing() -> None:
    assert port_changes(IPV4, "skept", {KEY: ONE}, {KEY: ()}).splitlines() == [
        f"delete element {WHERE} published {{ tcp . 8080 }}",
        f"delete chain {WHERE} tcp-8080",
        f"add element {WHERE} refused {{ tcp . 8080 }}",
    ]
    assert port_changes(IPV4, "skept", {KEY: ()}, {}) == (
        f"delete element {WHERE} refused {{ tcp . 8080 }}\n"
    )


def test_no_change_is_no_command() -> None:
    assert port_changes(IPV4, "skept", {KEY: TWO}, {KEY: TWO}) == ""
    assert virtual_changes("skep", {"10.0.0.2": ("10.0.0.3",)}, {"10.0.0.2": ("10.0.0.3",)}) == ""


def test_a_port_at_one_ipv6_address_has_a_chain_name_that_nft_takes() -> None:
    key = PortKey("tcp", 80, "fd00::1")
    backend = (Backend(address="fd00::2", port=80),)
    assert port_changes(IPV6, "skept", {}, {key: backend}).splitlines() == [
        "add chain ip6 skept tcp-80-fd00__1",
        "add rule ip6 skept tcp-80-fd00__1 meta l4proto tcp dnat to [fd00::2]:80",
        "add element ip6 skept published_at { fd00::1 . tcp . 80 : goto tcp-80-fd00__1 }",
    ]


SIX = Backend(address="fd00::2", port=80)


@pytest.mark.parametrize(
    ("host_ip", "backends", "four", "six"),
    [
        ("", ONE, {KEY: ONE}, {}),
        ("", (*ONE, SIX), {KEY: ONE}, {KEY: (SIX,)}),
        ("", (), {KEY: ()}, {KEY: ()}),
        ("0.0.0.0", ONE, {KEY: ONE}, {}),
        ("::", (*ONE, SIX), {}, {KEY: (SIX,)}),
        ("127.0.0.1", ONE, {PortKey("tcp", 8080, "127.0.0.1"): ONE}, {}),
        ("127.0.0.1", (SIX,), {PortKey("tcp", 8080, "127.0.0.1"): ()}, {}),
    ],
)
def test_a_port_belongs_to_the_ip_versions_of_its_address_and_backends(
    host_ip: str, backends: tuple[Backend, ...], four: object, six: object
) -> None:
    port = PublishedPort(host_port=8080, backends=backends, host_ip=host_ip)
    assert (ports_of(IPV4, [port]), ports_of(IPV6, [port])) == (four, six)


def test_a_virtual_address_is_replaced_whole() -> None:
    before, after = {"10.0.0.2": ("10.0.0.3",)}, {"10.0.0.2": ("10.0.0.3", "10.0.0.4")}
    assert virtual_changes("skep", before, after).splitlines() == [
        "delete element ip skep virtual { 10.0.0.2 }",
        "delete chain ip skep v-10.0.0.2",
        "add chain ip skep v-10.0.0.2",
        "add rule ip skep v-10.0.0.2 dnat to numgen inc mod 2 map { 0 : 10.0.0.3, 1 : 10.0.0.4 }",
        "add element ip skep virtual { 10.0.0.2 : goto v-10.0.0.2 }",
    ]
