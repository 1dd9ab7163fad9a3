"""What all parts of this room stand on: one of each on a node, made together."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path

from skep.engine.containers.bundle import HostFacts
from skep.engine.containers.container import Container, Places, Registry
from skep.engine.containers.notes import Notes
from skep.engine.containers.record import RecordFolder
from skep.engine.events import Events
from skep.engine.settings import EngineSettings
from skep.kit.errors import SkepError
from skep.kit.jobs import Jobs
from skep.kit.threads import Outside
from skep.runtime import apparmor, capabilities
from skep.runtime.bundle import masked_paths
from skep.runtime.door import Runtime


@dataclass(frozen=True, slots=True)
class Base:
    """
    facts      of the host, read once.
    places     where a container's things lie.
    folder     the records on disk; what has yet to happen is written there first.
    notes      the same for what has happened already.
    registry   the containers in memory.
    runtime    the door to their processes.
    jobs       work under way that goes on although nobody waits for it.
    events     what is told to whoever listens.
    outside    threads for calls on paths of others.
    """

    settings: EngineSettings
    facts: HostFacts
    places: Places
    folder: RecordFolder
    notes: Notes
    registry: Registry
    runtime: Runtime
    jobs: Jobs
    events: Events
    outside: Outside

    def tell(self, container: Container, action: str, **attributes: str) -> None:
        """An event of a container, with its labels, image and name."""
        record = container.record
        about = {**record.config.labels, "image": record.config.image, "name": record.name}
        self.events.emit("container", action, record.id, {**about, **attributes})


def base_of(
    settings: EngineSettings,
    registry: Registry,
    runtime: Runtime,
    events: Events,
    outside: Outside,
) -> Base:
    places = Places(settings.data_root, settings.exec_root)
    folder = RecordFolder(places.records)
    return Base(
        settings=settings,
        facts=_host_facts(settings),
        places=places,
        folder=folder,
        notes=Notes(folder, registry),
        registry=registry,
        runtime=runtime,
        jobs=Jobs(SkepError),
        events=events,
        outside=outside,
    )


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
