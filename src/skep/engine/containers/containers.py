"""The containers of one node: every call that docker has for them."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from msgspec.structs import replace

from skep.engine.containers import choosing, show, stats
from skep.engine.containers.attach import AttachedLine, PendingLine, parse_detach_keys
from skep.engine.containers.base import Base
from skep.engine.containers.bundle import apparmor_profile, limits_of
from skep.engine.containers.container import Container, wait_among
from skep.engine.containers.creation import Creation, check_endpoint
from skep.engine.containers.discovery import Discovery
from skep.engine.containers.execs import Begin, Execs, ExecSpecs, nothing_to_begin
from skep.engine.containers.health import HealthWatch
from skep.engine.containers.lifecycle import Lifecycle
from skep.engine.containers.links import ContainerLinks
from skep.engine.containers.logs import Logs, LogWish
from skep.engine.containers.preparation import GroundWork
from skep.engine.containers.rootfs import make_skeleton
from skep.engine.containers.top import top_of
from skep.engine.containers.updating import updated_host_config
from skep.engine.containers.view import ContainerView, view_of
from skep.engine.containers.wish import Wish, in_dockers_words, wish_of
from skep.engine.images import ImageStore
from skep.engine.networks.networks import Networks
from skep.engine.queries import EVERY_CONTAINER, ContainerQuery
from skep.engine.volumes import Volumes
from skep.kit.clock import utc_now
from skep.kit.errors import Conflict, InvalidArgument, NotFound, SkepError
from skep.kit.files import disk_usage_bytes
from skep.kit.labels import ANY_LABELS, LabelQuery
from skep.model.container import (
    ContainerCreate,
    ContainerCreated,
    ContainerInspect,
    ContainersPruned,
    ContainerStats,
    ContainerSummary,
    ContainerUpdate,
    ContainerUpdated,
    EndpointSettings,
    ExecCreate,
    ExecInspect,
    ExecStart,
    TopResult,
    WaitResult,
)
from skep.model.rules.names import check_container_name
from skep.network.host import HostNetwork
from skep.runtime.door import Chunk

_log = logging.getLogger(__name__)
_GRACE_S = 10.0
"""For what is under way when the engine stops."""

WaitCondition = Literal["", "not-running", "next-exit", "removed"]


class AttachedStream(Protocol):
    """A client's two-way line to a container or an exec."""

    async def read(self) -> Chunk | None:
        """The next output (`stream` 1 stdout, 2 stderr); None at the end."""

    async def write(self, data: bytes) -> None:
        """To stdin; dropped when nobody reads it. Waits while the process does not keep up."""

    def close_stdin(self) -> None:
        """The client has no more input; output goes on."""

    def close(self) -> None:
        """Hang up; the process is not touched. Idempotent."""


class Containers:
    """Every call names a container by its name, id or unique prefix of an id.

    Errors carry docker's words and status; NotFound is `No such container: x`.
    """

    def __init__(
        self,
        base: Base,
        images: ImageStore,
        networks: Networks,
        volumes: Volumes,
        host: HostNetwork,
    ) -> None:
        self._base = base
        self._images = images
        self._networks = networks
        self._volumes = volumes
        specs = ExecSpecs(base)
        self._execs = Execs(base, specs)
        self._logs = Logs(base)
        self._links = links = ContainerLinks(base, networks, host)
        self._creation = Creation(base, images, networks, volumes)
        ground, health = GroundWork(base, images, volumes), HealthWatch(base, specs)
        self._lifecycle = Lifecycle(base, ground, links, health, volumes)
        self._discovery = Discovery(base, self._lifecycle, links, host, networks, volumes)
        self._unshown: set[str] = set()

    # The engine's start and end

    async def open(self) -> None:
        """Find what runs, finish what ended, repair or remove what a crash left half made. The
        host's network, images, volumes and networks are open."""
        await asyncio.to_thread(make_skeleton, self._base.places.skeleton)
        await self._discovery.run()
        self._logs.open()

    async def power_off(self, grace_s: float) -> None:
        """The machine goes down: end every container; `close` comes after this."""
        await self._lifecycle.power_off(grace_s)

    async def close(self) -> None:
        """Let go: containers run on."""
        await self._logs.close()
        await self._execs.close()
        for container in self._base.registry:
            self._lifecycle.runs.let_run(container)
        await self._base.jobs.close(_GRACE_S)
        await self._base.notes.close()

    # Life

    async def create(self, body: ContainerCreate, name: str = "") -> ContainerCreated:
        """Make a container that does not run yet. An empty name is made up.

        When it raises, nothing was made: NotFound (image, network, volume), Conflict (name),
        InvalidArgument, Unimplemented (names the field that this engine does not do).
        """
        container = await self._creation.create(wish_of(body), name, None)
        self._base.tell(container, "create")
        return ContainerCreated(id=container.id)

    async def create_managed(self, wish: Wish, name: str, labels: Mapping[str, str]) -> None:
        """The same for the cluster: it need not outlive a power cut, as its task is made again.

        `labels` are the cluster's own (com.docker.swarm.…), laid over all others.
        """
        container = await self._creation.create(in_dockers_words(wish), name, labels)
        self._base.tell(container, "create")

    async def start(self, name: str) -> None:
        """Raises NotModified when it runs already; InvalidArgument when its program cannot run
        (the container keeps exit code 126 or 127); Internal when a port or address is taken."""
        await self._lifecycle.start(self._base.registry.find(name))

    async def stop(self, name: str, *, signal: str = "", timeout_s: int | None = None) -> None:
        """Signal it, then kill it after `timeout_s` (-1: never; None: the container's own).

        Returns when it has ended and let go of its addresses. NotModified when it does not run.
        """
        await self._lifecycle.stop(self._base.registry.find(name), signal, timeout_s)

    async def kill(self, name: str, signal: str = "KILL") -> None:
        """Signal it ("KILL", "SIGTERM", "9"). Returns at once. Conflict when it does not run."""
        await self._lifecycle.kill(self._base.registry.find(name), signal)

    async def restart(self, name: str, *, signal: str = "", timeout_s: int | None = None) -> None:
        """Stop (when it runs) and start."""
        await self._lifecycle.restart(self._base.registry.find(name), signal, timeout_s)

    async def pause(self, name: str) -> None:
        await self._lifecycle.pause(self._base.registry.find(name))

    async def unpause(self, name: str) -> None:
        await self._lifecycle.unpause(self._base.registry.find(name))

    async def remove(self, name: str, *, force: bool = False, volumes: bool = False) -> None:
        """Raises Conflict when it runs and `force` is not given. `volumes`: anonymous ones too."""
        container = self._base.registry.find(name)
        await self._lifecycle.remove(container, force=force, volumes=volumes)

    async def rename(self, name: str, new_name: str) -> None:
        container = self._base.registry.find(name)
        new_name = check_container_name(new_name)
        if new_name == container.name:
            raise InvalidArgument("Renaming a container with the same name as its current name")
        async with container.turn:
            old_name = container.name
            self._base.registry.reserve(new_name, container.id)
            renamed = replace(container.record, name=new_name)
            try:
                await asyncio.to_thread(self._base.folder.promise, renamed)
            except BaseException:
                self._base.registry.release(new_name, container.id)
                raise
            container.record = renamed
            self._base.registry.release(old_name, container.id)
            self._networks.rename_member(container.id, new_name)
        self._base.tell(container, "rename", oldName=f"/{old_name}")

    async def update(self, name: str, wish: ContainerUpdate) -> ContainerUpdated:
        """Change limits and restart policy, of a running one at once."""
        container = self._base.registry.find(name)
        async with container.turn:
            host = updated_host_config(container.record.host_config, wish)
            if container.running:
                await self._base.runtime.update(container.id, limits_of(host))
            updated = replace(container.record, host_config=host)
            await asyncio.to_thread(self._base.folder.promise, updated)
            container.record = updated
        self._base.tell(container, "update")
        return ContainerUpdated()

    async def wait(self, name: str, condition: WaitCondition = "") -> WaitResult:
        """Until it does not run, ends next, or is removed. The container is looked up at once:
        the coroutine is waiting from its first step on."""
        container = self._base.registry.find(name)
        if condition == "removed":
            await wait_among(container.removals)
        elif condition == "next-exit":
            await wait_among(container.exits)
        else:
            while container.running or container.restarting:
                await wait_among(container.exits)
        return WaitResult(status_code=container.record.exit_code)

    async def prune(
        self, labels: LabelQuery = ANY_LABELS, until: datetime | None = None
    ) -> ContainersPruned:
        """Remove those that do not run, with these labels and made before `until`."""
        removed, freed = [], 0
        for container in self._base.registry:
            record = container.record
            if container.state not in {"created", "exited", "dead"} or container.unreadable:
                continue
            if not labels.passes(record.config.labels):
                continue
            if until is not None and record.created_at >= until:
                continue
            freed += await self._own_bytes(record.id)
            try:
                await self._lifecycle.remove(container, force=False, volumes=False)
            except Conflict:
                continue
            removed.append(record.id)
        return ContainersPruned(containers_deleted=removed, space_reclaimed=freed)

    # Looking

    def resolve(self, name: str) -> str:
        """The full id of a name, id or unique prefix. Raises NotFound, or InvalidArgument for a
        prefix of several."""
        return self._base.registry.find(name).id

    def view(self, name: str) -> ContainerView:
        """How it is now, from memory. Raises as `resolve` does."""
        return view_of(self._base.registry.find(name))

    def labelled(self, key: str) -> dict[str, str]:
        """Every container that has the label: its value -> the container's id."""
        labels = ((each.record.config.labels, each.id) for each in self._base.registry)
        return {own[key]: container_id for own, container_id in labels if key in own}

    async def inspect(self, name: str, *, size: bool = False) -> ContainerInspect:
        container = self._base.registry.find(name)
        sizes = await self._sizes(container) if size else show.Sizes()
        return show.inspected(
            container,
            self._base.places,
            self._volume_folders(container),
            layers=await self._layers(container),
            exec_ids=self._execs.live_ids(container),
            sizes=sizes,
            apparmor_profile=apparmor_profile(container.record.host_config, self._base.facts) or "",
        )

    async def list(
        self,
        *,
        all_containers: bool = False,
        query: ContainerQuery = EVERY_CONTAINER,
        limit: int = 0,
        size: bool = False,
    ) -> list[ContainerSummary]:
        """Newest first. Raises NotFound for a `before` or `since` that is not there."""
        chosen = choosing.choose(
            self._base.registry,
            query,
            everything=all_containers or limit > 0,
            before=[self._base.registry.find(name) for name in query.before],
            since=[self._base.registry.find(name) for name in query.since],
            image_ids=await self._image_ids(query.ancestors or ()),
        )
        now = utc_now()
        return [
            await self._summary(container, now, size)
            for container in chosen[: limit if limit > 0 else None]
        ]

    async def top(self, name: str, ps_args: str = "") -> TopResult:
        container = self._base.registry.find(name)
        container.require_running()
        pids = await self._base.runtime.processes(container.id)
        return await top_of(pids, ps_args)

    async def stats(
        self, name: str, *, stream: bool = True, one_shot: bool = False
    ) -> AsyncIterator[ContainerStats]:
        """A reading every second until the container is gone; without `stream` one reading (with
        a second's `precpu_stats` unless `one_shot`). Await gives the stream: NotFound comes first.
        """
        container = self._base.registry.find(name)
        return stats.readings(self._base.runtime, container, stream=stream, one_shot=one_shot)

    async def logs(
        self,
        name: str,
        *,
        follow: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        since_ns: int | None = None,
        until_ns: int | None = None,
        tail: int | None = None,
        timestamps: bool = False,
        details: bool = False,
    ) -> AsyncIterator[Chunk]:
        """Lines with their newline (and time stamp), oldest first. Times in ns since 1970, None =
        open; `tail` None is all. Ends with the container unless it starts again at once."""
        wish = LogWish(
            follow=follow,
            stdout=stdout,
            stderr=stderr,
            since_ns=since_ns,
            until_ns=until_ns,
            tail=tail,
            timestamps=timestamps,
        )
        return self._logs.read(self._base.registry.find(name), wish)

    # Terminals and other processes

    async def attach(
        self,
        name: str,
        *,
        stdin: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        logs: bool = False,
        stream: bool = True,
        detach_keys: str = "",
    ) -> AttachedStream:
        """A line to a container. One that does not run yet is attached when it starts, before its
        first output. `logs`: what it wrote before comes first."""
        container = self._base.registry.find(name)
        container.require_unpaused()
        keys = parse_detach_keys(detach_keys)
        past = None
        if logs:
            past = self._logs.read(container, LogWish(stdout=stdout, stderr=stderr))
        if not stream:
            line = PendingLine()
            line.give_up()
        elif container.running:
            line = PendingLine()
            line.connect(await self._base.runtime.attach(container.id))
        else:
            line = PendingLine(container.lines)
        self._base.tell(container, "attach")
        return AttachedLine(
            line,
            stdin=stdin and container.record.config.open_stdin,
            stdout=stdout,
            stderr=stderr,
            past=past,
            detach_keys=keys if container.record.config.tty else b"",
        )

    async def resize(self, name: str, rows: int, cols: int) -> None:
        container = self._base.registry.find(name)
        container.require_running()
        await self._base.runtime.resize(container.id, rows, cols)
        self._base.tell(container, "resize", height=str(rows), width=str(cols))

    async def exec_create(self, name: str, wish: ExecCreate) -> str:
        """Returns the exec's id. Conflict when the container does not run or is paused."""
        return self._execs.create(name, wish)

    async def exec_start(
        self, exec_id: str, wish: ExecStart, begin: Begin = nothing_to_begin
    ) -> AttachedStream | None:
        """Run it, once; None when detached. The stream's end means that it ended.

        `begin` is awaited when nothing speaks against it any more, before it runs."""
        return await self._execs.start(exec_id, wish, begin)

    async def exec_inspect(self, exec_id: str) -> ExecInspect:
        return self._execs.inspect(exec_id)

    async def exec_resize(self, exec_id: str, rows: int, cols: int) -> None:
        await self._execs.resize(exec_id, rows, cols)

    # Networks

    async def connect(
        self, name: str, network: str, settings: EndpointSettings | None = None
    ) -> None:
        """Put it on one more network, now when it runs, else from its next start on. Forbidden
        when it is on it already."""
        record, wish = self._networks.find(network), settings or EndpointSettings()
        container = self._base.registry.find(name)
        check_endpoint(record, wish)
        async with container.turn:
            await self._links.connect(container, record, wish)
            await asyncio.to_thread(self._base.folder.promise, container.record)

    async def disconnect(self, name: str, network: str, *, force: bool = False) -> None:
        """Take it off; Forbidden when it is not on it. `force`: no such container is fine."""
        record = self._networks.find(network)
        try:
            container = self._base.registry.find(name)
        except NotFound:
            if force:
                return
            raise
        async with container.turn:
            await self._links.disconnect(container, record)
            await asyncio.to_thread(self._base.folder.promise, container.record)

    # Inside

    def _volume_folders(self, container: Container) -> dict[str, Path]:
        return {
            mount.source: self._volumes.folder(mount.source)
            for mount in container.record.mounts
            if mount.type == "volume"
        }

    async def _layers(self, container: Container) -> Sequence[Path]:
        """None of an image that is gone, or that cannot be read."""
        try:
            return self._images.layers(await self._images.resolve(container.record.image_id))
        except SkepError:
            return []

    async def _sizes(self, container: Container) -> show.Sizes:
        own = await self._own_bytes(container.id)
        try:
            image = await self._images.resolve(container.record.image_id)
        except SkepError:
            return show.Sizes(own, own)
        return show.Sizes(own, own + image.size_bytes)

    async def _own_bytes(self, container_id: str) -> int:
        """What a container changed. A walk may be long: it has a thread of its own."""
        walk = partial(disk_usage_bytes, self._base.places.upper(container_id))
        return await self._base.outside.call(str(self._base.places.records), walk, math.inf)

    async def _image_ids(self, names: Collection[str]) -> set[str]:
        """What `ancestor` names stand for now; one that is gone stands for nothing."""
        found = set()
        for name in names:
            try:
                found.add((await self._images.resolve(name)).id)
            except SkepError:
                continue
        return found

    async def _summary(self, container: Container, now: datetime, size: bool) -> ContainerSummary:
        """A row of the list. One container that cannot be shown must not hide the others."""
        try:
            sizes = await self._sizes(container) if size else show.Sizes()
            return show.summarised(container, now, self._volume_folders(container), sizes)
        except Exception:
            if container.id not in self._unshown:
                self._unshown.add(container.id)
                _log.exception("container %s cannot be listed whole", container.id)
            return show.outlined(container)
