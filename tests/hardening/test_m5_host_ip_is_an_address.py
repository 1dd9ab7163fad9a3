"""The HostIp of a published port could be a name, which was looked up on the daemon's event loop:
nobody was answered meanwhile."""

from __future__ import annotations

import os
from typing import Any

import pytest

from skep.kit.errors import InvalidArgument
from skep.network import netns
from skep.network.ports import HostPorts
from skep.network.values import Backend, PublishedPort
from skep.testing.daemon import DaemonHost

NAMES = ["slow.example.org", "localhost", "127.1", "0x7f000001", "fe80::1%eth0", "1.2.3.4\n"]


def _body(host_ip: str) -> dict[str, Any]:
    bindings = {"5000/tcp": [{"HostIp": host_ip, "HostPort": "0"}]}
    return {"Image": "web:1", "HostConfig": {"PortBindings": bindings}}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_refused_in_docker_s_words(host: DaemonHost, name: str) -> None:
    answer = host.api("POST", "/containers/create", _body(name))
    assert (answer.status, answer.message) == (400, f"invalid IP address: {name}")


@pytest.mark.parametrize("address", ["", "0.0.0.0", "127.0.0.1", "::1", "0:0:0:0:0:0:0:0"])
def test_an_address_is_taken(host: DaemonHost, address: str) -> None:
    created = host.api("POST", "/containers/create", _body(address))
    assert created.status == 201
    assert host.api("POST", f"/containers/{created.body['Id']}/start").status == 204


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_address_never_reaches_a_socket(name: str) -> None:
    """Whoever asks: the kernel's call would look a name up."""
    port = PublishedPort(
        host_port=8080, host_ip=name, backends=(Backend(address="172.17.0.2", port=80),)
    )
    home = netns.open_own()
    try:
        with pytest.raises(InvalidArgument):
            HostPorts(home).reserve("web", (port,))
    finally:
        os.close(home)
