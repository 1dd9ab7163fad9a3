"""Ports: which ones a container opens and where the host leads them from. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import msgspec

from skep.engine.exposed import MAX_PORT, sound_ports
from skep.kit.errors import InvalidArgument
from skep.model.container import ContainerConfig, HostConfig, PortBinding
from skep.model.service import Transport
from skep.network import words
from skep.network.values import Backend, PublishedPort

_PORT = re.compile(r"(\d{1,5})(?:/(tcp|udp|sctp))?", re.ASCII)
_HOST_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)


class PortWish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A port of a container that the host is to lead to; host address and ports as in
    `PublishedPort`, which is what becomes of it."""

    port: int
    protocol: Transport = "tcp"
    host_ip: str = ""
    host_port: int = 0
    host_port_end: int = 0


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


def parse_bindings(bindings: Mapping[str, Sequence[PortBinding]]) -> tuple[PortWish, ...]:
    """What `-p` asks for. Raises InvalidArgument for what is no port."""
    wanted = []
    for key, places in bindings.items():
        port, protocol = parse_port(key)
        for place in places or [PortBinding()]:
            first, last = parse_host_port(place.host_port)
            wanted.append(
                PortWish(
                    port=port,
                    protocol=protocol,
                    host_ip=place.host_ip and words.address(place.host_ip),
                    host_port=first,
                    host_port_end=last,
                )
            )
    return tuple(wanted)


def bindings_of(wanted: Iterable[PortWish]) -> dict[str, list[PortBinding]]:
    """The same in docker's words."""
    bindings: dict[str, list[PortBinding]] = {}
    for each in wanted:
        until = f"-{each.host_port_end}" if each.host_port_end else ""
        host_port = f"{each.host_port}{until}" if each.host_port else ""
        place = PortBinding(host_ip=each.host_ip, host_port=host_port)
        bindings.setdefault(port_key(each.port, each.protocol), []).append(place)
    return bindings


def with_all_exposed(
    wanted: Sequence[PortWish], exposed: Mapping[str, object]
) -> tuple[PortWish, ...]:
    """What `-P` asks for besides: every exposed port that is not led to yet."""
    known = {(each.port, each.protocol) for each in wanted}
    more = [
        PortWish(port=port, protocol=protocol)
        for port, protocol in map(parse_port, sound_ports(exposed))
        if (port, protocol) not in known
    ]
    return (*wanted, *more)


def published_ports(
    wanted: Iterable[PortWish], addresses: Sequence[str]
) -> tuple[PublishedPort, ...]:
    """What a container publishes on this host, with its own addresses behind every port."""
    return tuple(
        PublishedPort(
            host_port=each.host_port,
            host_port_end=each.host_port_end,
            host_ip=each.host_ip,
            protocol=each.protocol,
            backends=tuple(Backend(address=address, port=each.port) for address in addresses),
        )
        for each in wanted
    )


def exposed_keys(config: ContainerConfig, host: HostConfig) -> list[str]:
    """Every port that the container opens, `80/tcp`, once."""
    keys = {*sound_ports(config.exposed_ports), *sound_ports(host.port_bindings)}
    return sorted(keys, key=lambda key: (int(key.partition("/")[0]), key))
