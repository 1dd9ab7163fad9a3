"""One node's engine: images, containers, volumes, networks and events behind one object."""

from __future__ import annotations

from skep.engine.containers import Containers
from skep.engine.events import Events
from skep.engine.images import ImageStore
from skep.engine.networks import Networks
from skep.engine.settings import EngineSettings
from skep.engine.volumes import Volumes
from skep.network.host import HostNetwork
from skep.runtime.door import Runtime


class Engine:
    """Everything that a node does with containers, with or without a cluster.

    `runtime` and `network` are the host's own unless a test brings others.
    """

    images: ImageStore
    containers: Containers
    volumes: Volumes
    networks: Networks
    events: Events

    def __init__(
        self,
        settings: EngineSettings,
        *,
        runtime: Runtime | None = None,
        network: HostNetwork | None = None,
    ) -> None:
        self.settings = settings

    async def start(self) -> None:
        """Find what runs, finish what ended, repair or remove what a crash left half made.

        When it returns every call answers the truth; containers whose policy asks for it are
        being started again. Raises Unavailable when the host lacks something, saying what.
        """
        raise NotImplementedError

    async def stop(self) -> None:
        """Let go: containers run on, and the next `start` finds them."""
        raise NotImplementedError
