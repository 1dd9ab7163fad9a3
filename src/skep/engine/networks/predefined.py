"""The networks that every node has, as docker has them: bridge, host and none."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime

from skep.engine.networks.creation import settle_ipam
from skep.engine.networks.record import (
    BRIDGE_DEFAULT,
    BRIDGE_ICC,
    BRIDGE_MASQUERADE,
    BRIDGE_NAME,
    DEFAULT_BRIDGE,
    DRIVER_MTU,
    HOST,
    NONE,
    NetworkRecord,
)
from skep.engine.settings import EngineSettings
from skep.kit.ids import new_container_id
from skep.model.network import IPAM, IPAMConfig


def predefined(
    settings: EngineSettings, taken: Sequence[str], now: datetime
) -> tuple[NetworkRecord, NetworkRecord, NetworkRecord]:
    """The three, new. The bridge has the subnet of `bip`, or one of the pools that is not taken."""
    options = {
        BRIDGE_DEFAULT: "true",
        BRIDGE_ICC: "true",
        BRIDGE_MASQUERADE: "true",
        DRIVER_MTU: str(settings.bridge_mtu),
    }
    if settings.bridge_link:
        options[BRIDGE_NAME] = settings.bridge_link
    ipam = settle_ipam(
        IPAM(config=[_of(settings.bip)]), ipv6=False, pools=settings.address_pools, taken=taken
    )
    return (
        NetworkRecord(id=new_container_id(), name=DEFAULT_BRIDGE, driver="bridge", created_at=now,
                      ipam=ipam, options=options),
        NetworkRecord(id=new_container_id(), name=HOST, driver="host", created_at=now),
        NetworkRecord(id=new_container_id(), name=NONE, driver="null", created_at=now),
    )  # fmt: skip


def _of(bip: str) -> IPAMConfig:
    """`172.20.0.1/16`: the bridge's own address, and by it the subnet."""
    if not bip:
        return IPAMConfig()
    interface = ipaddress.ip_interface(bip)
    return IPAMConfig(subnet=str(interface.network), gateway=str(interface.ip))
