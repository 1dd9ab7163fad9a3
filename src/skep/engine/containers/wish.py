"""What a container is asked to be, in values: the one form that every caller's words come to.

Docker's client says ports, hosts and endpoints in text (`ContainerCreate`): `wish_of` reads it,
once. The cluster's agent has values already; `in_dockers_words` adds the text that an inspect shows
of them, and that nobody reads again. All else of docker's two structs has one form. Pure.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from skep.engine.containers.extra_hosts import HostEntry, parse_hosts
from skep.engine.containers.ports import PortWish, bindings_of, parse_bindings
from skep.model.container import (
    ContainerConfig,
    ContainerCreate,
    EndpointSettings,
    HostConfig,
)


class EndpointWish(msgspec.Struct, frozen=True, kw_only=True):
    """A place on a network.

    network     its id or name; "" and "default" are the default bridge.
    addresses   on a cluster network, as the manager gave them: ("10.0.1.5/24",).
    """

    network: str
    settings: EndpointSettings = EndpointSettings()
    addresses: tuple[str, ...] = ()


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """`ports` and `hosts` are what is done; those in `config` and `host` are only shown."""

    config: ContainerConfig
    host: HostConfig
    ports: tuple[PortWish, ...] = ()
    hosts: tuple[HostEntry, ...] = ()
    endpoints: tuple[EndpointWish, ...] = ()


def wish_of(body: ContainerCreate) -> Wish:
    """Raises InvalidArgument for what is no port or no host, in docker's words."""
    host = body.host_config
    return Wish(
        config=body,
        host=host,
        ports=parse_bindings(host.port_bindings),
        hosts=parse_hosts(host.extra_hosts),
        endpoints=tuple(
            EndpointWish(network=name, settings=settings)
            for name, settings in body.networking_config.endpoints_config.items()
        ),
    )


def in_dockers_words(wish: Wish) -> Wish:
    """The wish with its ports and hosts where docker's client looks for them."""
    bindings = bindings_of(wish.ports)
    return replace(
        wish,
        config=replace(wish.config, exposed_ports={key: {} for key in bindings}),
        host=replace(
            wish.host,
            port_bindings=bindings,
            extra_hosts=[f"{entry.name}:{entry.address}" for entry in wish.hosts],
        ),
    )
