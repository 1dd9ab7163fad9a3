"""Published ports: alone, and against the other services."""

from __future__ import annotations

from collections.abc import Iterator

from skep.kit.errors import InvalidArgument
from skep.model import defaults
from skep.model.service import PortConfig, Service, ServiceSpec
from skep.store.change import View


def check_ports(spec: ServiceSpec) -> None:
    """The ports of one service among themselves."""
    published: set[tuple[str, int]] = set()
    for port in defaults.ports(spec):
        if not port.target_port:
            raise InvalidArgument(
                "EndpointSpec: a published port needs a TargetPort from 1 to 65535"
            )
        if port.publish_mode == "ingress" and defaults.endpoint_mode(spec) == "dnsrr":
            raise InvalidArgument(
                "EndpointSpec: port published with ingress mode can't be used with dnsrr mode"
            )
        key = (port.protocol, port.published_port)
        if port.published_port and key in published:
            raise InvalidArgument(
                "EndpointSpec: duplicate published ports provided: "
                f"{port.published_port}/{port.protocol}"
            )
        published.add(key)


def check_free(view: View, spec: ServiceSpec, current: Service | None) -> None:
    """An ingress port is taken on every node; host ports only meet where tasks do (scheduler)."""
    wished = [port for port in defaults.ports(spec) if port.published_port]
    if not wished:
        return
    for other in view.services():
        if current is None or other.id != current.id:
            _check_against(other, wished)


def _check_against(other: Service, wished: list[PortConfig]) -> None:
    for theirs in _ports_of(other):
        for port in wished:
            same = (port.protocol, port.published_port) == (theirs.protocol, theirs.published_port)
            if same and "ingress" in (port.publish_mode, theirs.publish_mode):
                kind = "an ingress" if theirs.publish_mode == "ingress" else "a host-published"
                raise InvalidArgument(
                    f"port '{port.published_port}' is already in use by service "
                    f"'{other.spec.name}' ({other.id}) as {kind} port"
                )


def _ports_of(service: Service) -> Iterator[PortConfig]:
    """What it asks for, and what it was given (chosen numbers)."""
    yield from defaults.ports(service.spec)
    yield from service.endpoint.ports
