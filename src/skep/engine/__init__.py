"""One node's containers, images, volumes, networks, logs and statistics: no cluster needed.

Start at engine.py (`Engine`, the facade); its five attributes are the doors to the rest.
"""

from skep.engine.containers.containers import AttachedStream, Containers, WaitCondition
from skep.engine.containers.extra_hosts import HostEntry
from skep.engine.containers.ports import PortWish
from skep.engine.containers.view import ContainerView
from skep.engine.containers.wish import EndpointWish, Wish
from skep.engine.engine import Engine
from skep.engine.events import Events
from skep.engine.networks.networks import Networks
from skep.engine.queries import ContainerQuery, ImageQuery
from skep.engine.settings import AddressPool, EngineSettings
from skep.engine.volumes import Volumes

__all__ = [
    "AddressPool",
    "AttachedStream",
    "ContainerQuery",
    "ContainerView",
    "Containers",
    "EndpointWish",
    "Engine",
    "EngineSettings",
    "Events",
    "HostEntry",
    "ImageQuery",
    "Networks",
    "PortWish",
    "Volumes",
    "WaitCondition",
    "Wish",
]
