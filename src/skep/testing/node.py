"""A node for tests of its doors: it says and does what a test gives it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from skep.engine import Containers, Engine, Events, Networks, Volumes
from skep.engine.images import ImageStore
from skep.engine.queries import EVERY_CONTAINER, EVERY_IMAGE, ContainerQuery, ImageQuery
from skep.manager.control import Control
from skep.model.container import (
    ContainerConfig,
    ContainerInspect,
    ContainerSummary,
    StateInspect,
)
from skep.model.image import ImageSummary
from skep.model.logs import LogOptions, LogSelector, ServiceLogLine
from skep.model.system import Component, Facts, SwarmInfo, SwarmInit, SwarmJoin
from skep.testing.stand_in import instead_of, stand_in

FACTS = Facts(
    daemon_id="daemon-1",
    hostname="bee",
    data_root="/var/lib/skep",
    kernel_version="6.1.0",
    operating_system="Debian GNU/Linux 12 (bookworm)",
    os_version="12",
    machine="x86_64",
    cpus=2,
    memory_bytes=4 * 1024**3,
    cgroup_version=2,
    components=(Component(name="runc", version="1.1.5", details={"GitCommit": ""}),),
    runtimes={"runc": "/usr/sbin/runc"},
)


class StandInMembership:
    """Says what a test says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.said = SwarmInfo()
        self.calls: list[object] = []

    def info(self) -> SwarmInfo:
        return self.said

    async def init(self, request: SwarmInit) -> str:
        self.calls.append(request)
        return "node-1"

    async def join(self, request: SwarmJoin) -> None:
        self.calls.append(request)

    async def leave(self, force: bool) -> None:
        self.calls.append(("leave", force))


class StandInNode:
    """A node in no cluster. Its engine is that of the test, or one that has nothing (see
    `skep.testing.stand_in` for giving it more)."""

    def __init__(self, engine: Engine | None = None) -> None:
        self.facts = FACTS
        self.engine = engine or empty_engine()
        self.control: Control | None = None
        self.swarm = StandInMembership()
        self.calls = self.swarm.calls
        self.log_lines: list[ServiceLogLine] = []

    async def service_logs(
        self, selector: LogSelector, options: LogOptions
    ) -> AsyncGenerator[ServiceLogLine, None]:
        self.calls.append((selector, options))
        for line in self.log_lines:
            yield line


def empty_engine() -> Engine:
    """It lists no containers and no images, and tells of events; all else fails."""
    engine = stand_in(Engine)
    engine.events = Events()
    engine.containers = stand_in(Containers)
    engine.images = stand_in(ImageStore)
    engine.volumes = stand_in(Volumes)
    engine.networks = stand_in(Networks)

    @instead_of(engine.containers.list)
    async def containers(
        *,
        all_containers: bool = False,
        query: ContainerQuery = EVERY_CONTAINER,
        limit: int = 0,
        size: bool = False,
    ) -> list[ContainerSummary]:
        return []

    @instead_of(engine.images.summaries)
    async def images(
        query: ImageQuery = EVERY_IMAGE, *, shared_size: bool = False, containers: bool = False
    ) -> list[ImageSummary]:
        return []

    return engine


def running(container_id: str = "c1", *, name: str = "bee", tty: bool = False) -> ContainerInspect:
    """A container as its engine tells of it."""
    return ContainerInspect(
        id=container_id,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        path="sh",
        args=[],
        state=StateInspect(status="running", running=True, paused=False, restarting=False),
        image="sha256:1",
        name=f"/{name}",
        config=ContainerConfig(tty=tty),
    )
