"""The caller's words over the image's: entrypoint, command, variables, volumes, health."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.engine.containers.config import argv, merge, merge_env, process_env
from skep.engine.containers.ports import (
    PortWish,
    bindings_of,
    exposed_keys,
    parse_bindings,
    published_ports,
    with_all_exposed,
)
from skep.engine.containers.users import Identity, resolve_user
from skep.kit.errors import InvalidArgument
from skep.kit.names import made_up_name
from skep.model.container import ContainerConfig, HostConfig, PortBinding
from skep.model.image import ImageConfig, ImageHealthcheck
from skep.model.rules.names import check_container_name
from skep.model.rules.signals import parse_signal
from skep.model.service import HealthConfig
from skep.network.values import Backend, PublishedPort
from skep.runtime.bundle import User

IMAGE = ImageConfig(entrypoint=("/entry",), cmd=("serve", "-v"), env=("A=1", "B=2"))

COMMANDS = [
    # the caller's entrypoint and command -> what runs
    (None, None, ("/entry", "serve", "-v")),
    (None, ["other"], ("/entry", "other")),
    (["sh"], None, ("sh",)),
    (["sh"], ["-c", "x"], ("sh", "-c", "x")),
    ([""], ["x"], ("x",)),
    ("sh", "x", ("sh", "x")),
]


@pytest.mark.parametrize(("entrypoint", "cmd", "expected"), COMMANDS)
def test_an_images_command_goes_with_its_own_entrypoint_only(
    entrypoint: list[str] | str | None, cmd: list[str] | str | None, expected: tuple[str, ...]
) -> None:
    assert argv(merge(ContainerConfig(entrypoint=entrypoint, cmd=cmd), IMAGE)) == expected


def test_a_container_without_any_command_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="no command specified"):
        argv(merge(ContainerConfig(), ImageConfig()))


def test_variables_keep_the_images_order_and_the_callers_values() -> None:
    assert merge_env(("A=1", "B=2"), ["B=3", "C=4"]) == ["A=1", "B=3", "C=4"]


def test_a_variable_without_a_value_is_taken_away() -> None:
    config = merge(ContainerConfig(env=["A"]), IMAGE)
    assert "A=1" not in process_env(config, "box", "/root")
    assert "B=2" in process_env(config, "box", "/root")


def test_labels_of_the_cluster_lie_over_the_callers_and_those_over_the_images() -> None:
    image = ImageConfig(labels={"a": "image", "b": "image", "c": "image"})
    config = merge(ContainerConfig(labels={"b": "user", "c": "user"}), image, {"c": "cluster"})
    assert config.labels == {"a": "image", "b": "user", "c": "cluster"}


def test_a_probe_inherits_what_the_caller_leaves_open() -> None:
    probe = ImageHealthcheck(test=("CMD", "x"), interval=5_000_000_000, retries=7)
    image = ImageConfig(healthcheck=probe)
    config = merge(ContainerConfig(healthcheck=HealthConfig(retries=2)), image)
    assert config.healthcheck == HealthConfig(test=["CMD", "x"], interval=5_000_000_000, retries=2)


PASSWD = "root:x:0:0::/root:/bin/sh\nbee:x:1000:1001::/home/bee:\n# comment\nbroken\n"
GROUP = "root:x:0:\nbees:x:1001:\nhive:x:7:bee,wasp\nodd:x:not:\n"

USERS = [
    ("", Identity(User(uid=0, gid=0, additional_gids=(0,)), "/root")),
    ("bee", Identity(User(uid=1000, gid=1001, additional_gids=(7, 1001)), "/home/bee")),
    ("1000", Identity(User(uid=1000, gid=1001, additional_gids=(7, 1001)), "/home/bee")),
    ("bee:hive", Identity(User(uid=1000, gid=7, additional_gids=(7,)), "/home/bee")),
    ("55", Identity(User(uid=55, gid=0, additional_gids=(0,)), "/")),
    ("55:66", Identity(User(uid=55, gid=66, additional_gids=(66,)), "/")),
]


@pytest.mark.parametrize(("text", "expected"), USERS)
def test_users_are_looked_up_as_docker_does(text: str, expected: Identity) -> None:
    assert resolve_user(text, PASSWD, GROUP) == expected


@pytest.mark.parametrize("text", ["nobody", "bee:nogroup", "99999999999", "-1", "²"])
def test_who_is_not_there_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        resolve_user(text, PASSWD, GROUP)


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=20))
def test_no_file_makes_the_lookup_fail_otherwise(passwd: str, group: str, user: str) -> None:
    try:
        resolve_user(user, passwd, group)
    except InvalidArgument:
        pass


def test_ports_are_published_as_asked_and_all_when_asked() -> None:
    config = ContainerConfig(exposed_ports={"80/tcp": {}, "53/udp": {}})
    bindings = {"80/tcp": [PortBinding(host_ip="127.0.0.1", host_port="8000-8010")]}
    host = HostConfig(port_bindings=bindings, publish_all_ports=True)
    first = PublishedPort(
        host_port=8000, host_port_end=8010, host_ip="127.0.0.1",
        backends=(Backend(address="10.0.0.2", port=80),),
    )  # fmt: skip
    second = PublishedPort(
        host_port=0, protocol="udp", backends=(Backend(address="10.0.0.2", port=53),)
    )
    wanted = with_all_exposed(parse_bindings(bindings), config.exposed_ports)
    assert published_ports(wanted, ["10.0.0.2"]) == (first, second)
    assert exposed_keys(config, host) == ["53/udp", "80/tcp"]


@pytest.mark.parametrize(
    ("key", "port"),
    [("80/icmp", ""), ("0/tcp", ""), ("99999", ""), ("80", "x"), ("80", "90-80"), ("80", "70000")],
)
def test_what_is_no_port_is_refused(key: str, port: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid port specification"):
        parse_bindings({key: [PortBinding(host_port=port)]})


@pytest.mark.parametrize(
    ("wanted", "binding"),
    [
        (PortWish(port=80), PortBinding()),
        (PortWish(port=80, host_ip="::1", host_port=8080), PortBinding("::1", "8080")),
        (PortWish(port=80, host_port=80, host_port_end=90), PortBinding(host_port="80-90")),
    ],
)
def test_a_port_is_shown_in_docker_s_words(wanted: PortWish, binding: PortBinding) -> None:
    shown = bindings_of([wanted])
    assert shown == {"80/tcp": [binding]}
    assert parse_bindings(shown) == (wanted,)


@pytest.mark.parametrize(
    ("text", "number"),
    [("KILL", 9), ("SIGKILL", 9), ("sigterm", 15), ("9", 9), ("RTMIN+1", 35), ("RTMAX", 64)],
)
def test_signals_by_name_and_number(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "NOPE", "RTMIN+99", "RTMIN*1", "SIG", "-9"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid signal"):
        parse_signal(text)


def test_names_follow_dockers_grammar() -> None:
    assert check_container_name("/web.1-a_b") == "web.1-a_b"
    for name in ("", "a", "-web", "we b", "wéb", "../web", "web/1"):
        with pytest.raises(InvalidArgument, match="Invalid container name"):
            check_container_name(name)


@given(st.integers(min_value=0))
def test_made_up_names_are_names(number: int) -> None:
    name = made_up_name(number)
    assert check_container_name(name) == name
    assert set(name) <= set(string.ascii_lowercase + string.digits + "_")
