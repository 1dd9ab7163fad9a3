"""One container in memory: its record, and what only this process knows of it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from skep.engine.containers.record import Record
from skep.kit.errors import Conflict, InvalidArgument, NotFound
from skep.kit.meant import meant
from skep.model.container import ContainerState, Health

if TYPE_CHECKING:
    from skep.engine.containers.attach import PendingLine


class Container:
    """Mutable; `turn` is held by whoever changes what it is (start, end, remove, rename, update).

    pid               of its process while it runs, else 0.
    restarting        it ended and waits for its policy's next start, in `restart`.
    restart_delay_s   the last one, 0 when a person started it.
    started_s         when its run began, by a clock that nobody sets (`kit.clock.elapsed_s`); None
                      where another daemon began it.
    unreadable        why its record cannot be read, "" when it can. Nobody but a person who removes
                      it may touch what is left of it; its process, if it has one, runs on unseen.
    exits, removals   those who wait for the end of this run, and of the container.
    lines             clients that attached before the start.
    """

    __slots__ = (
        "dead", "exec_ids", "exits", "health", "lines", "paused", "pid", "probing", "record",
        "removals", "removing", "restart", "restart_delay_s", "restarting", "started_s", "turn",
        "unreadable", "watch",
    )  # fmt: skip

    def __init__(self, record: Record, *, unreadable: str = "") -> None:
        self.record = record
        self.unreadable = unreadable
        self.turn = asyncio.Lock()
        self.pid = 0
        self.paused = False
        self.restarting = False
        self.removing = False
        self.dead = bool(unreadable)
        self.restart_delay_s = 0.0
        self.started_s: float | None = None
        self.health: Health | None = None
        self.watch: asyncio.Task[None] | None = None
        self.restart: asyncio.Task[None] | None = None
        self.probing: asyncio.Task[None] | None = None
        self.exits: set[asyncio.Future[None]] = set()
        self.removals: set[asyncio.Future[None]] = set()
        self.lines: list[PendingLine] = []
        self.exec_ids: list[str] = []

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def short_id(self) -> str:
        return self.record.short_id

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def running(self) -> bool:
        """Its process lives (paused or not)."""
        return self.pid != 0

    @property
    def state(self) -> ContainerState:
        if self.removing:
            return "removing"
        if self.dead:
            return "dead"
        if self.restarting:
            return "restarting"
        if self.running:
            return "paused" if self.paused else "running"
        return "exited" if self.record.phase == "exited" else "created"

    def require_running(self) -> None:
        """Raises Conflict in docker's words."""
        if not self.running:
            raise Conflict(f"container {self.id} is not running")

    def require_unpaused(self) -> None:
        if self.paused:
            raise Conflict(f"container {self.id} is paused, unpause the container first")


def settle(waiters: set[asyncio.Future[None]]) -> None:
    """Tell all who wait, once."""
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()


async def wait_among(waiters: set[asyncio.Future[None]]) -> None:
    """Wait until `settle`; a caller that gives up is forgotten."""
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiters.add(waiter)
    try:
        await waiter
    finally:
        waiters.discard(waiter)


class Places:
    """Where a container's things lie on this host, all named from its id."""

    def __init__(self, data_root: Path, exec_root: Path) -> None:
        self.records = data_root / "containers"
        self.trash = data_root / "trash"
        self.skeleton = data_root / "skeleton"
        """The lowest layer of every container: what runc would otherwise make in each."""
        self.runs = exec_root / "containers"

    def folder(self, container_id: str) -> Path:
        """Outlives a reboot: record, changed files, log, /etc/hosts and its like."""
        return self.records / container_id

    def upper(self, container_id: str) -> Path:
        return self.folder(container_id) / "diff"

    def work(self, container_id: str) -> Path:
        return self.folder(container_id) / "work"

    def log(self, container_id: str) -> Path:
        return self.folder(container_id) / "container.log"

    def run(self, container_id: str) -> Path:
        """Of one start, in memory: where its root is mounted. Nothing that it can write in."""
        return self.runs / container_id

    def rootfs(self, container_id: str) -> Path:
        return self.run(container_id) / "rootfs"

    def etc(self, container_id: str, name: str) -> Path:
        """On the disk: the container may write in it as much as it likes."""
        return self.folder(container_id) / name


class Registry:
    """Every container of this node, by id and by name. In memory; no call waits."""

    def __init__(self) -> None:
        self._by_id: dict[str, Container] = {}
        self._names: dict[str, str] = {}
        self._by_volume: dict[str, set[str]] = {}

    def __iter__(self) -> Iterator[Container]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, container_id: str) -> Container | None:
        return self._by_id.get(container_id)

    def find(self, name: str) -> Container:
        """By id, name or unique prefix of an id. Raises NotFound, or InvalidArgument."""
        found = meant(name.removeprefix("/"), self._with_id, self._with_name, self._with_prefix)
        if len(found) > 1:
            raise InvalidArgument(f"Multiple IDs found with provided prefix: {name}")
        if not found:
            raise NotFound(f"No such container: {name}")
        return found[0]

    def _with_id(self, container_id: str) -> list[Container]:
        found = self._by_id.get(container_id)
        return [] if found is None else [found]

    def _with_name(self, name: str) -> list[Container]:
        return self._with_id(self._names.get(name, ""))

    def _with_prefix(self, prefix: str) -> list[Container]:
        return [container for id_, container in self._by_id.items() if id_.startswith(prefix)]

    def reserve(self, name: str, container_id: str) -> None:
        """Take a name before the container is made. Raises Conflict in docker's words."""
        holder = self._names.setdefault(name, container_id)
        if holder != container_id:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container'
                f' "{holder}". You have to remove (or rename) that container to be able'
                " to reuse that name."
            )

    def is_free(self, name: str) -> bool:
        return name not in self._names

    def release(self, name: str, container_id: str) -> None:
        if self._names.get(name) == container_id:
            del self._names[name]

    def add(self, container: Container) -> None:
        self._names[container.name] = container.id
        self._by_id[container.id] = container
        for volume in _volumes_of(container):
            self._by_volume.setdefault(volume, set()).add(container.id)

    def discard(self, container: Container) -> None:
        self._by_id.pop(container.id, None)
        self.release(container.name, container.id)
        for volume in _volumes_of(container):
            users = self._by_volume.get(volume, set())
            users.discard(container.id)
            if not users:
                self._by_volume.pop(volume, None)

    def users_of(self, volume: str) -> Collection[str]:
        """The ids of the containers that have a volume mounted, running or not."""
        return self._by_volume.get(volume, frozenset())


def _volumes_of(container: Container) -> list[str]:
    """Settled at create, for good."""
    return [mount.source for mount in container.record.mounts if mount.type == "volume"]
