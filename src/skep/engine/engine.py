"""One node's engine: images, containers, volumes, networks and events behind one object."""

from __future__ import annotations

import asyncio
import random
import resource
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from skep.engine.containers.bundle import HostFacts
from skep.engine.containers.container import Places, Registry, tell_of
from skep.engine.containers.containers import Containers
from skep.engine.containers.creation import Creation
from skep.engine.containers.discovery import Discovery
from skep.engine.containers.execs import Execs, ExecSpecs
from skep.engine.containers.ground import GroundWork
from skep.engine.containers.health import HealthWatch
from skep.engine.containers.lifecycle import Lifecycle
from skep.engine.containers.links import ContainerLinks
from skep.engine.containers.logs import Logs
from skep.engine.containers.notes import Notes
from skep.engine.containers.record import RecordFolder
from skep.engine.containers.rootfs import make_skeleton
from skep.engine.containers.runs import Runs
from skep.engine.containers.steps import Steps
from skep.engine.events import Events
from skep.engine.images import ImageStore, ImageUser
from skep.engine.networks.networks import Networks
from skep.engine.settings import EngineSettings
from skep.engine.volumes import Volumes
from skep.kit.files import close_folder
from skep.kit.threads import Outside
from skep.network.host import HostNetwork
from skep.runtime import apparmor, capabilities
from skep.runtime.bundle import masked_paths
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
        self._places = Places(settings.data_root, settings.exec_root)
        self.events = Events(settings.event_history)
        self.images = ImageStore(
            settings.data_root / "images",
            insecure_registries=settings.insecure_registries,
            users=self._image_users,
            on_event=self._tell_image,
        )
        self._outside = outside = Outside(answer_s=settings.answer_s)
        self.volumes = Volumes(
            settings.data_root / "volumes", self.events, self._registry.users_of, outside
        )
        self.networks = Networks(settings, self._host, self.events)
        self._wire()

    def _wire(self) -> None:
        settings, registry, runtime = self.settings, self._registry, self._runtime
        places = self._places
        folder = RecordFolder(places.records)
        self._notes = notes = Notes(folder, registry)
        facts = _host_facts(settings)
        tell = partial(tell_of, self.events)
        links = ContainerLinks(settings, registry, self.networks, self._host)
        specs = ExecSpecs(places, facts)
        self._steps = Steps()
        self._execs = Execs(registry, runtime, specs, self.events)
        self._logs = Logs(registry, places, runtime)
        self._runs = Runs(
            facts,
            places=places,
            folder=folder,
            notes=notes,
            runtime=runtime,
            ground=GroundWork(settings, places, folder, self.images, self.volumes, self._outside),
            links=links,
            health=HealthWatch(runtime, specs, tell),
            steps=self._steps,
            live_starts=settings.live_starts,
            tell=tell,
        )
        self._lifecycle = lifecycle = Lifecycle(
            places=places,
            folder=folder,
            notes=notes,
            registry=registry,
            runtime=runtime,
            runs=self._runs,
            volumes=self.volumes,
            steps=self._steps,
            tell=tell,
            stop_timeout_s=settings.default_stop_timeout_s,
        )
        self._runs.auto_remove = lifecycle.auto_remove
        self._discovery = Discovery(
            places=places,
            folder=folder,
            notes=notes,
            registry=registry,
            runtime=runtime,
            host=self._host,
            networks=self.networks,
            links=links,
            volumes=self.volumes,
            runs=self._runs,
            lifecycle=lifecycle,
        )
        self.containers = Containers(
            facts=facts,
            places=places,
            folder=folder,
            registry=registry,
            runtime=runtime,
            images=self.images,
            networks=self.networks,
            volumes=self.volumes,
            outside=self._outside,
            creation=Creation(
                facts,
                folder,
                registry,
                self.images,
                self.networks,
                self.volumes,
                self._outside,
                random.Random(),
            ),
            lifecycle=lifecycle,
            links=links,
            execs=self._execs,
            logs=self._logs,
            tell=tell,
        )
        self.networks.serve(self.containers)

    async def start(self) -> None:
        """Find what runs, finish what ended, repair or remove what a crash left half made.

        When it returns every call answers the truth; containers whose policy asks for it are
        being started again. Raises Unavailable when the host lacks something, saying what.
        """
        await self._host.open()
        await self.images.open()
        await asyncio.to_thread(make_skeleton, self._places.skeleton)
        await asyncio.to_thread(self.volumes.load)
        await self.networks.load()
        await self._discovery.run()
        self._logs.open()

    async def answers(self) -> None:
        """Return when a thread of ours has looked at our own folders: while they hang, or all
        threads hang in something else, it does not."""
        for folder in (self.settings.data_root, self.settings.exec_root):
            await asyncio.to_thread(folder.stat)

    async def power_off(self, grace_s: float) -> None:
        """The machine goes down: end every container; `stop` comes after this."""
        await self._lifecycle.power_off(grace_s)

    async def stop(self) -> None:
        """Let go: containers run on, and the next `start` finds them."""
        await self._logs.close()
        await self._execs.close()
        for container in self._registry:
            self._runs.let_run(container)
        await self._steps.close()
        await self._notes.close()
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


def _host_facts(settings: EngineSettings) -> HostFacts:
    init = settings.init_path
    return HostFacts(
        capabilities=capabilities.of_this_host(),
        apparmor=apparmor.of_this_host(),
        init_path=init if Path(init).exists() else "",
        default_shm_bytes=settings.default_shm_bytes,
        masked_paths=masked_paths(),
        open_files=settings.open_files or resource.getrlimit(resource.RLIMIT_NOFILE),
    )
