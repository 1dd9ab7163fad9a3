"""Networks: the cluster's (`Network`), and the form in which the Engine API shows any network."""

from __future__ import annotations

from typing import Literal

from msgspec import field

from skep.kit.clock import ZERO_TIME
from skep.model.base import Object, Strict, Value
from skep.model.bounds import Int64, Moment
from skep.model.service import Driver


class IPAMConfig(Strict, frozen=True):
    """One subnet. `aux_addresses` ("AuxiliaryAddresses") are names to addresses never given out."""

    subnet: str = ""
    ip_range: str = field(name="IPRange", default="")
    gateway: str = ""
    aux_addresses: dict[str, str] = field(name="AuxiliaryAddresses", default_factory=dict)


class IPAM(Strict, frozen=True, omit_defaults=False):
    driver: str = "default"
    options: dict[str, str] | None = None
    config: list[IPAMConfig] = []


class ConfigReference(Strict, frozen=True, omit_defaults=False):
    network: str = ""


class NetworkCreate(Strict, frozen=True):
    """The body of POST /networks/create."""

    name: str = ""
    check_duplicate: bool | None = None
    driver: str = ""
    scope: str = ""
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    ipam: IPAM | None = None
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: ConfigReference | None = None
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class NetworkSpec(Value, frozen=True):
    """What the user wanted of a cluster network."""

    name: str
    labels: dict[str, str] = {}
    driver: str = "overlay"
    options: dict[str, str] = {}
    enable_ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    ipam: IPAM = IPAM()


class Network(Object, frozen=True, kw_only=True):
    """A cluster network as stored. `ipam` holds the subnets given, `vni` the VXLAN number."""

    id: str
    spec: NetworkSpec
    ipam: IPAM = IPAM()
    vni: Int64 = 0


class EndpointResource(Value, frozen=True, omit_defaults=False):
    """A container on a network, as GET /networks/{id} lists it."""

    name: str = ""
    endpoint_id: str = field(name="EndpointID", default="")
    mac_address: str = ""
    ipv4_address: str = ""
    ipv6_address: str = ""


class NetworkResource(Value, frozen=True, omit_defaults=False):
    """Any network as the Engine API shows it (`Id`, unlike every other object's `ID`)."""

    name: str
    id: str = field(name="Id")
    created: Moment = ZERO_TIME
    scope: Literal["local", "swarm", "global"] = "local"
    driver: str = "bridge"
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    ipam: IPAM = IPAM()
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_from: ConfigReference = ConfigReference()
    config_only: bool = False
    containers: dict[str, EndpointResource] = {}
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


def as_resource(network: Network) -> NetworkResource:
    """A cluster network in the form that GET /networks answers."""
    spec = network.spec
    return NetworkResource(
        name=spec.name,
        id=network.id,
        created=network.created_at,
        scope="swarm",
        driver=spec.driver,
        enable_ipv6=spec.enable_ipv6,
        ipam=network.ipam if network.ipam.config else spec.ipam,
        internal=spec.internal,
        attachable=spec.attachable,
        ingress=spec.ingress,
        options=spec.options,
        labels=spec.labels,
    )


__all__ = [
    "IPAM",
    "ConfigReference",
    "Driver",
    "EndpointResource",
    "IPAMConfig",
    "Network",
    "NetworkCreate",
    "NetworkResource",
    "NetworkSpec",
    "as_resource",
]
