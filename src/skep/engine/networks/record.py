"""What is kept on disk of one network of this node: `<data_root>/networks/<id>.json`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from skep.engine.record_files import Unreadable, read_record
from skep.kit.files import close_folder, set_aside, write_atomically
from skep.model.bounds import Moment
from skep.model.network import (
    IPAM,
    ConfigReference,
    EndpointResource,
    Network,
    NetworkResource,
)
from skep.network.values import Bridge, Subnet

DEFAULT_BRIDGE, HOST, NONE = "bridge", "host", "none"
PREDEFINED = frozenset({DEFAULT_BRIDGE, HOST, NONE})

_PREFIX = "com.docker.network."
BRIDGE_NAME = _PREFIX + "bridge.name"
BRIDGE_ICC = _PREFIX + "bridge.enable_icc"
BRIDGE_MASQUERADE = _PREFIX + "bridge.enable_ip_masquerade"
BRIDGE_DEFAULT = _PREFIX + "bridge.default_bridge"
DRIVER_MTU = _PREFIX + "driver.mtu"
OPTIONS = frozenset({BRIDGE_NAME, BRIDGE_ICC, BRIDGE_MASQUERADE, BRIDGE_DEFAULT, DRIVER_MTU})
"""The driver options of a bridge that we fulfil."""

_TRUE = frozenset({"1", "t", "true"})


class NetworkRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One network that containers of this node can be on. `ipam` has its subnets, settled.

    `scope` "swarm" is a cluster network that this node takes part in. It is kept on disk too: its
    containers run on while nobody says anew that it exists.
    """

    id: str
    name: str
    driver: Literal["bridge", "host", "null", "overlay"]
    created_at: Moment
    scope: Literal["local", "swarm"] = "local"
    enable_ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    ipam: IPAM = IPAM()
    options: dict[str, str] = {}
    labels: dict[str, str] = {}

    @property
    def is_bridged(self) -> bool:
        """Containers on it have an interface and an address."""
        return self.driver in {"bridge", "overlay"}

    @property
    def resolves_names(self) -> bool:
        """All but docker's default bridge."""
        return self.is_bridged and self.name != DEFAULT_BRIDGE

    @property
    def mtu(self) -> int:
        return int(self.options.get(DRIVER_MTU) or 1500)


_RECORD = msgspec.json.Decoder(NetworkRecord)


def cluster_record(network: Network) -> NetworkRecord:
    """A network of the cluster, as a node that takes part in it keeps it."""
    spec = network.spec
    return NetworkRecord(
        id=network.id,
        name=spec.name,
        driver="overlay",
        created_at=network.created_at,
        scope="swarm",
        enable_ipv6=spec.enable_ipv6,
        internal=spec.internal,
        attachable=spec.attachable,
        ingress=spec.ingress,
        ipam=network.ipam if network.ipam.config else spec.ipam,
        options=spec.options,
        labels=spec.labels,
    )


def bridge_of(record: NetworkRecord) -> Bridge:
    """The network as the host's network room sees it."""
    return Bridge(
        id=record.id,
        subnets=tuple(
            Subnet(subnet=config.subnet, gateway=config.gateway) for config in record.ipam.config
        ),
        link=record.options.get(BRIDGE_NAME, ""),
        mtu=record.mtu,
        internal=record.internal,
        icc=_is_true(record.options.get(BRIDGE_ICC, "true")),
        masquerade=_is_true(record.options.get(BRIDGE_MASQUERADE, "true")),
    )


def _is_true(text: str) -> bool:
    return text.lower() in _TRUE


def resource_of(record: NetworkRecord, containers: dict[str, EndpointResource]) -> NetworkResource:
    """The network as the Engine API shows it."""
    return NetworkResource(
        name=record.name,
        id=record.id,
        created=record.created_at,
        scope=record.scope,
        driver=record.driver,
        enable_ipv6=record.enable_ipv6,
        ipam=record.ipam,
        internal=record.internal,
        attachable=record.attachable,
        ingress=record.ingress,
        config_from=ConfigReference(),
        containers=containers,
        options=record.options,
        labels=record.labels,
    )


class NetworkFolder:
    """The networks' records on disk. All calls block."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, record: NetworkRecord) -> None:
        write_atomically(self._path(record.id), msgspec.json.encode(record))

    def remove(self, network_id: str) -> None:
        self._path(network_id).unlink(missing_ok=True)

    def load(self) -> Iterator[NetworkRecord]:
        """Every record that can be read; the others are set aside."""
        close_folder(self._root)
        for path in sorted(self._root.glob("[!.]*.json")):
            try:
                yield read_record(path, _RECORD, lambda record: record.id, path.stem)
            except Unreadable as reason:
                self._set_aside(path, str(reason))

    def refuse(self, record: NetworkRecord, error: Exception) -> None:
        """One that was read makes no sense."""
        self._set_aside(self._path(record.id), str(error))

    def _set_aside(self, path: Path, reason: str) -> None:
        consequence = "the network is not there, and its containers do not start before it is"
        set_aside(path, reason, consequence)

    def _path(self, network_id: str) -> Path:
        return self._root / f"{network_id}.json"
