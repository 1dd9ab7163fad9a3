"""Ports: which ones a container opens and where the host leads them from. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import cast

from skep.engine.exposed import MAX_PORT, sound_ports
from skep.kit.errors import InvalidArgument
from skep.model.container import ContainerConfig, HostConfig, PortBinding
from skep.model.service import Transport
from skep.network import words
from skep.network.values import Backend, PublishedPort

_PORT = re.compile(r"(\d{1,5})(?:/(tcp|udp|sctp))?", re.ASCII)
_HOST_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)


def parse_port(text: str) -> tuple[int, Transport]:
    """`80/tcp` or `80`. Raises InvalidArgument in docker's words."""
    match = _PORT.fullmatch(text)
    if not match or not 0 < int(match[1]) <= MAX_PORT:
        raise InvalidArgument(f'invalid port specification: "{text}"')
    return int(match[1]), cast(Transport, match[2] or "tcp")


def port_key(port: int, protocol: str) -> str:
    return f"{port}/{protocol}"


def parse_host_port(text: str) -> tuple[int, int]:
    """First and last wanted host port: `8080`, `8000-8010`, or nothing for any. 0, 0 is any."""
    if not text:
        return 0, 0
    match = _HOST_PORT.fullmatch(text)
    first = int(match[1]) if match else -1
    last = int(match[2] or first) if match else -1
    if not 0 <= first <= last <= MAX_PORT:
        raise InvalidArgument(f'invalid port specification: "{text}"')
    return first, (last if last > first else 0)


def wanted_ports(
    config: ContainerConfig, host: HostConfig, addresses: Iterable[str]
) -> tuple[PublishedPort, ...]:
    """What a container publishes on this host, with its own addresses behind every port.

    Raises InvalidArgument for what is no port; so create calls it with no addresses to check.
    """
    targets = tuple(addresses)
    bindings = dict(host.port_bindings)
    if host.publish_all_ports:
        for exposed in sound_ports(config.exposed_ports):
            bindings.setdefault(exposed, [PortBinding()])
    wanted = []
    for key, places in bindings.items():
        port, protocol = parse_port(key)
        for place in places or [PortBinding()]:
            first, last = parse_host_port(place.host_port)
            wanted.append(
                PublishedPort(
                    host_port=first,
                    host_port_end=last,
                    host_ip=place.host_ip and words.address(place.host_ip),
                    protocol=protocol,
                    backends=tuple(Backend(address=address, port=port) for address in targets),
                )
            )
    return tuple(wanted)


def exposed_keys(config: ContainerConfig, host: HostConfig) -> list[str]:
    """Every port that the container opens, `80/tcp`, once."""
    keys = {*sound_ports(config.exposed_ports), *sound_ports(host.port_bindings)}
    return sorted(keys, key=lambda key: (int(key.partition("/")[0]), key))
