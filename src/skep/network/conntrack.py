"""The kernel's memory of UDP flows, which outlives the rules that led them.

A caller that keeps sending from one port is one flow for ever: without this it would stay with a
backend that has gone, or with the host itself on a port that was published a moment later.
Layouts: linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import errno
import ipaddress
import struct
from dataclasses import dataclass

from skep.network.netlink import NetlinkRequest, attribute, nested, u8, u32
from skep.network.values import Backend, PublishedPort

_DELETE = 1 << 8 | 2  # the subsystem of connection tracking, its message "delete"
_TUPLE_ORIGINAL, _TUPLE_REPLY, _FILTER = 1, 2, 25
_TUPLE_IP, _TUPLE_PROTOCOL = 1, 2
_IPV4_SOURCE, _IPV6_SOURCE = 1, 3
_PROTOCOL_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_FILTER_ORIGINAL, _FILTER_REPLY = 1, 2
_BY_IP_SOURCE, _BY_PROTOCOL, _BY_SOURCE_PORT, _BY_DESTINATION_PORT = 1, 8, 16, 32
_UDP = 17
_AF_INET, _AF_INET6 = 2, 10


@dataclass(frozen=True, slots=True)
class Flows:
    """UDP flows that were sent to a port of the host; with a backend, those that it got."""

    host_port: int
    backend: Backend | None = None


def stale_flows(
    before: tuple[PublishedPort, ...], after: tuple[PublishedPort, ...]
) -> frozenset[Flows]:
    """What must be forgotten when an owner's published ports change."""
    old, new = _udp(before), _udp(after)
    gone = {
        Flows(port, backend)
        for port, backends in old.items()
        for backend in backends - new.get(port, set())
    }
    return frozenset(gone | {Flows(port) for port in new.keys() - old.keys()})


def _udp(ports: tuple[PublishedPort, ...]) -> dict[int, set[Backend]]:
    found: dict[int, set[Backend]] = {}
    for port in ports:
        if port.protocol == "udp":
            found.setdefault(port.host_port, set()).update(port.backends)
    return found


def forget(flows: Flows) -> list[NetlinkRequest]:
    """The messages that delete such flows; that there are none is fine."""
    if flows.backend is None:
        return [_delete(family, flows) for family in (_AF_INET, _AF_INET6)]
    return [_delete(_AF_INET6 if ":" in flows.backend.address else _AF_INET, flows)]


def _delete(family: int, flows: Flows) -> NetlinkRequest:
    original = nested(
        _TUPLE_ORIGINAL,
        nested(
            _TUPLE_PROTOCOL, u8(_PROTOCOL_NUMBER, _UDP), _port(_DESTINATION_PORT, flows.host_port)
        ),
    )
    flags = u32(_FILTER_ORIGINAL, _BY_PROTOCOL | _BY_DESTINATION_PORT)
    reply = b""
    if flows.backend is not None:
        reply = _reply(family, flows.backend)
        flags += u32(_FILTER_REPLY, _BY_IP_SOURCE | _BY_PROTOCOL | _BY_SOURCE_PORT)
    body = struct.pack("=BBH", family, 0, 0) + original + reply + nested(_FILTER, flags)
    doing = f"forget UDP flows to port {flows.host_port}"
    return NetlinkRequest(_DELETE, body, doing, tolerated=frozenset({errno.ENOENT}))


def _reply(family: int, backend: Backend) -> bytes:
    source = attribute(
        _IPV4_SOURCE if family == _AF_INET else _IPV6_SOURCE,
        ipaddress.ip_address(backend.address).packed,
    )
    protocol = u8(_PROTOCOL_NUMBER, _UDP) + _port(_SOURCE_PORT, backend.port)
    return nested(_TUPLE_REPLY, nested(_TUPLE_IP, source), nested(_TUPLE_PROTOCOL, protocol))


def _port(kind: int, port: int) -> bytes:
    return attribute(kind, struct.pack("!H", port))
