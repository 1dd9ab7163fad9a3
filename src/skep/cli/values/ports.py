"""Published ports: `-p [ip:][host:]container[/protocol]`, with ranges, and the long notation."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any, NamedTuple

from skep.cli.values.pairs import csv_pairs

PROTOCOLS = ("tcp", "udp", "sctp")
_MODES = ("ingress", "host")
_HIGHEST = 65535


class Mapping(NamedTuple):
    """One container port; `host` is empty (any), a number, or a range to choose from."""

    ip: str
    host: str
    container: int
    protocol: str

    @property
    def key(self) -> str:
        """`80/tcp`, as the API names a container's port."""
        return f"{self.container}/{self.protocol}"


def parse_publish(text: str) -> list[Mapping]:
    """docker run's -p in its short notation, one mapping for each container port."""
    ip, host, container = _split(text)
    container, slash, protocol = container.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if not container:
        raise ValueError(f"no port specified: {text}<empty>")
    if protocol not in PROTOCOLS:
        raise ValueError(f"invalid proto: {protocol}")
    _check_ip(ip)
    first, last = _range(container, "containerPort")
    if not host:
        return [Mapping(ip, "", port, protocol) for port in range(first, last + 1)]
    host_first, host_last = _range(host, "hostPort")
    if host_last - host_first == last - first:
        return [
            Mapping(ip, str(host_first + port - first), port, protocol)
            for port in range(first, last + 1)
        ]
    if first == last:
        return [Mapping(ip, f"{host_first}-{host_last}", first, protocol)]
    raise ValueError(
        f"invalid ranges specified for container and host Ports: {container} and {host}"
    )


def from_long(text: str) -> str:
    """docker run takes `published=…,target=…,protocol=…` too: the same in short notation."""
    if "=" not in text:
        return text
    fields = dict(csv_pairs(text))
    unknown = set(fields) - {"published", "target", "protocol"}
    if unknown:
        raise ValueError(f"invalid publish opts format: unexpected key '{min(unknown)}'")
    return (
        f"{fields.get('published', '')}:{fields.get('target', '')}/{fields.get('protocol', 'tcp')}"
    )


def bindings(
    published: Iterable[str], exposed: Iterable[str]
) -> tuple[dict[str, dict[str, str]], dict[str, list[dict[str, str]]]]:
    """A container's ExposedPorts and PortBindings."""
    ports: dict[str, dict[str, str]] = {}
    bound: dict[str, list[dict[str, str]]] = {}
    for text in published:
        for mapping in parse_publish(from_long(text)):
            ports[mapping.key] = {}
            binding = {"HostIp": mapping.ip, "HostPort": mapping.host}
            if binding not in bound.setdefault(mapping.key, []):
                bound[mapping.key].append(binding)
    for text in exposed:
        if ":" in text:
            raise ValueError(f"invalid port format for --expose: {text}")
        for mapping in parse_publish(text):
            ports[mapping.key] = {}
    return ports, bound


def parse_service_port(text: str) -> list[dict[str, Any]]:
    """`service create --publish`, short or long, as PortConfigs."""
    if "=" in text.partition(",")[0]:
        return [_long_service_port(text)]
    configs = []
    for mapping in parse_publish(text):
        if mapping.ip:
            raise ValueError(
                "a host IP is not supported for a service's port: leave it out; "
                "the port is published on every node"
            )
        if "-" in mapping.host:
            raise ValueError(
                f"invalid publish range {text}: give as many published as target ports"
            )
        configs.append(
            {
                "Protocol": mapping.protocol,
                "TargetPort": mapping.container,
                "PublishedPort": int(mapping.host or 0),
                "PublishMode": "ingress",
            }
        )
    return configs


def _long_service_port(text: str) -> dict[str, Any]:
    config: dict[str, Any] = {"Protocol": "tcp", "PublishMode": "ingress"}
    for key, value in csv_pairs(text):
        match key:
            case "protocol" if value in PROTOCOLS:
                config["Protocol"] = value
            case "protocol":
                raise ValueError(f"invalid protocol value '{value}': use tcp, udp or sctp")
            case "mode" if value in _MODES:
                config["PublishMode"] = value
            case "mode":
                raise ValueError(
                    f"invalid publish mode value ({value}): must be either 'ingress' or 'host'"
                )
            case "target" | "published":
                config[f"{key.capitalize()}Port"] = _port(value, f"{key} port")
            case _:
                raise ValueError(f"invalid field key {key}")
    if not config.get("TargetPort"):
        raise ValueError('missing mandatory field "target"')
    return config


def parse_target_port(text: str) -> tuple[int, str | None]:
    """`service update --publish-rm 80[/tcp]`: the target port, and its protocol if named."""
    if "=" in text:
        config = _long_service_port(text)
        return config["TargetPort"], config["Protocol"]
    number, slash, protocol = text.rpartition(":")[2].partition("/")
    return _port(number, "containerPort"), protocol if slash else None


def _split(text: str) -> tuple[str, str, str]:
    """IP, host ports and container ports; an IPv6 address stands in brackets."""
    if text.startswith("["):
        ip, bracket, rest = text[1:].partition("]")
        parts = rest.removeprefix(":").split(":")
        if not bracket or len(parts) > 2:
            raise ValueError(f"invalid IP address: {text}")
        return ip, parts[0] if len(parts) == 2 else "", parts[-1]
    ip, _, ports = text.rpartition(":")
    ip, _, host = ip.rpartition(":")
    return ip, host, ports


def _check_ip(ip: str) -> None:
    if ip:
        try:
            ipaddress.ip_address(ip)
        except ValueError:
            raise ValueError(f"invalid IP address: {ip}") from None


def _range(text: str, what: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    try:
        low = _port(first, what)
        high = _port(last, what) if dash else low
    except ValueError:
        raise ValueError(f"invalid {what}: {text}") from None
    if high < low:
        raise ValueError(f"invalid {what}: {text}")
    return low, high


def _port(text: str, what: str) -> int:
    if not text.isdecimal() or not text.isascii() or int(text) > _HIGHEST:
        raise ValueError(f"invalid {what}: {text}")
    return int(text)
