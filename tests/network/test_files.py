"""/etc/hosts and /etc/resolv.conf of a container."""

from __future__ import annotations

from pathlib import Path

from skep.network.files import (
    ResolvConf,
    host_network_resolv_conf,
    hosts_file,
    parse_resolv_conf,
    resolv_conf,
    resolv_conf_for_others,
)

HOST = """\
# made by hand
nameserver 127.0.0.53
nameserver 10.0.0.2   # the office
nameserver ::1
domain old.example
search corp.example lab.example
options edns0
options timeout:2
"""
NOTHING = ResolvConf()


def test_hosts_has_the_usual_names_then_extra_ones_then_its_own() -> None:
    text = hosts_file(
        "web", ["172.17.0.2", "fd00::2"], domainname="corp", extra=[("10.1.1.1", "db")]
    )
    assert text.splitlines()[0] == "127.0.0.1\tlocalhost"
    assert text.splitlines()[-3:] == [
        "10.1.1.1\tdb",
        "172.17.0.2\tweb.corp web",
        "fd00::2\tweb.corp web",
    ]


def test_hosts_without_domain_has_the_plain_name() -> None:
    assert hosts_file("web", ["172.17.0.2"]).endswith("172.17.0.2\tweb\n")


def test_resolv_conf_is_read_as_the_c_library_does() -> None:
    assert parse_resolv_conf(HOST) == ResolvConf(
        ("127.0.0.53", "10.0.0.2", "::1"),
        ("corp.example", "lab.example"),
        ("edns0", "timeout:2"),
    )


def test_without_own_resolver_the_host_s_reachable_servers_are_named() -> None:
    assert resolv_conf(HOST, NOTHING, own_resolver=False) == (
        "nameserver 10.0.0.2\nsearch corp.example lab.example\noptions edns0 timeout:2\n"
    )


def test_a_host_with_loopback_servers_only_gets_docker_s_public_ones() -> None:
    text = resolv_conf("nameserver 127.0.0.53\n", NOTHING, own_resolver=False)
    assert text == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"


def test_with_own_resolver_it_alone_is_named() -> None:
    asked = ResolvConf(nameservers=("9.9.9.9",))
    assert resolv_conf(HOST, asked, own_resolver=True) == (
        "nameserver 127.0.0.11\nsearch corp.example lab.example\noptions edns0 timeout:2 ndots:0\n"
    )


def test_what_was_asked_for_replaces_the_host_s() -> None:
    asked = ResolvConf(("9.9.9.9",), (".",), ("ndots:3",))
    text = resolv_conf(HOST, asked, own_resolver=False)
    assert text == "nameserver 9.9.9.9\noptions ndots:3\n"


def test_a_container_in_the_host_s_network_has_the_host_s_file() -> None:
    assert host_network_resolv_conf(HOST, NOTHING) == HOST
    assert host_network_resolv_conf(HOST, ResolvConf(search=("a.b",))).startswith(
        "nameserver 127.0.0.53\nnameserver 10.0.0.2\nnameserver ::1\nsearch a.b\n"
    )


def test_what_stands_behind_a_stub_is_read_when_it_is_there(tmp_path: Path) -> None:
    stub, behind = tmp_path / "stub", tmp_path / "behind"
    stub.write_text("nameserver 127.0.0.53\n")
    assert resolv_conf_for_others([stub, behind]) == "nameserver 127.0.0.53\n"
    behind.write_text("nameserver 10.0.0.2\n")
    assert resolv_conf_for_others([stub, behind]) == "nameserver 10.0.0.2\n"
    stub.write_text("nameserver 10.0.0.9\n")
    assert resolv_conf_for_others([stub, behind]) == "nameserver 10.0.0.9\n"
    assert resolv_conf_for_others([tmp_path / "none"]) == ""
