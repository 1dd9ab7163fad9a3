"""One node's engine: images, containers, volumes, networks and events behind one object."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from skep.engine.containers.base import base_of
from skep.engine.containers.container import Registry
from skep.engine.containers.containers import Containers
from skep.engine.events import Events
from skep.engine.images import ImageStore, ImageUser
from skep.engine.networks.networks import Networks
from skep.engine.settings import EngineSettings
from skep.engine.volumes import Volumes
from skep.kit.files import close_folder
from skep.kit.threads import Outside
from skep.network.host import HostNetwork
from skep.runtime.door import Runtime


class Engine:
    """Everything that a node does with containers, with or without a cluster.

    `runtime` and `network` are the host's own unless a test brings others. Made within a running
    event loop.
    """

    def __init__(
        self,
        settings: EngineSettings,
        *,
        runtime: Runtime | None = None,
        network: HostNetwork | None = None,
    ) -> None:
        self.settings = settings
        close_folder(settings.data_root)
        close_folder(settings.exec_root)
        self._runtime = runtime or _own_runtime(settings)
        self._host = network or _own_network(settings)
        self._registry = Registry()
        self.events = Events(settings.event_history)
        self.images = ImageStore(
            settings.data_root / "images",
            insecure_registries=settings.insecure_registries,
            users=self._image_users,
            on_event=self._tell_image,
        )
        outside = Outside(answer_s=settings.answer_s)
        users = self._registry.users_of
        self.volumes = Volumes(settings.data_root / "volumes", self.events, users, outside)
        self.networks = Networks(settings, self._host, self.events)
        base = base_of(settings, self._registry, self._runtime, self.events, outside)
        self.containers = Containers(base, self.images, self.networks, self.volumes, self._host)

    async def start(self) -> None:
        """Find what runs, finish what ended, repair or remove what a crash left half made.

        When it returns every call answers the truth; containers whose policy asks for it are
        being started again. Raises Unavailable when the host lacks something, saying what.
        """
        await self._host.open()
        await self.images.open()
        await asyncio.to_thread(self.volumes.load)
        await self.networks.load()
        await self.containers.open()

    async def answers(self) -> None:
        """Return when a thread of ours has looked at our own folders: while they hang, or all
        threads hang in something else, it does not."""
        for folder in (self.settings.data_root, self.settings.exec_root):
            await asyncio.to_thread(folder.stat)

    async def power_off(self, grace_s: float) -> None:
        """The machine goes down: end every container; `stop` comes after this."""
        await self.containers.power_off(grace_s)

    async def stop(self) -> None:
        """Let go: containers run on, and the next `start` finds them."""
        await self.containers.close()
        await self._runtime.close()
        await self._host.close()
        await self.images.close()

    def _image_users(self) -> Iterator[ImageUser]:
        for container in self._registry:
            yield ImageUser(container.id, container.record.image_id, container.running)

    def _tell_image(self, action: str, image_id: str, name: str) -> None:
        self.events.emit("image", action, image_id, {"name": name})


def _own_runtime(settings: EngineSettings) -> Runtime:
    from skep.runtime.conmon import ConmonRuntime

    return ConmonRuntime(settings.exec_root, cgroup_parent=f"/skep-{settings.instance}")


def _own_network(settings: EngineSettings) -> HostNetwork:
    from skep.network.kernel import KernelNetwork

    drops = not settings.open_router
    return KernelNetwork(settings.exec_root, settings.instance, drops=drops)
