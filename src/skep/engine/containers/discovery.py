"""After a restart of the engine: what is on disk, what is on this host, and what to do about it.

`verdict` decides for one container; `Discovery` looks and acts. Whatever a crash left half made is
repaired or removed here; nobody has been told of it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Literal

from msgspec.structs import replace

from skep.engine.containers.base import Base
from skep.engine.containers.container import Container
from skep.engine.containers.lifecycle import Lifecycle
from skep.engine.containers.links import ContainerLinks, has_sandbox, unlinked
from skep.engine.containers.record import Record
from skep.engine.containers.restart import wants_start_at_boot
from skep.engine.containers.rootfs import remove_place
from skep.engine.networks.networks import Networks
from skep.engine.volumes import Volumes
from skep.kit.clock import ZERO_TIME, utc_now
from skep.kit.errors import SkepError
from skep.kit.files import close_folder, sweep_away
from skep.network.host import HostNetwork
from skep.runtime.door import Exit, ProcessState

_log = logging.getLogger(__name__)
LOST_CODE = 255

Verdict = Literal["adopt", "end", "undo", "lose", "sweep", "leave", "spare"]


def verdict(record: Record, found: ProcessState, *, has_place: bool) -> Verdict:
    """What to do about a container of which the disk says `record` and the host says `found`.

    has_place   its folder below the exec root is there: made right before the intent to start it,
                removed when it ended, gone after a reboot.

    adopt   it runs: go on watching it.
    end     it ended while nobody looked: finish that.
    undo    its first start was cut short by our end: it is created, and nothing happened.
    lose    it was started, and is no more, or cannot be watched any more: it ended for unknown
            reasons (the host went down, or we did in the middle of another start).
    sweep   it does not run, and something of a run is left on the host.
    leave   it does not run, and nothing is left.

    (`Discovery` has one more: "spare", for one whose record cannot be read.)
    """
    if record.phase != "started":
        return "leave" if found.state == "absent" else "sweep"
    if found.state == "running":
        return "adopt"
    if found.state == "exited":
        return "end"
    cut_short = has_place and found.state != "orphaned"
    return "undo" if cut_short and record.finished_at == ZERO_TIME else "lose"


class Discovery:
    def __init__(
        self,
        base: Base,
        lifecycle: Lifecycle,
        links: ContainerLinks,
        host: HostNetwork,
        networks: Networks,
        volumes: Volumes,
    ) -> None:
        self._base = base
        self._lifecycle = lifecycle
        self._runs = lifecycle.runs
        self._links = links
        self._host = host
        self._networks = networks
        self._volumes = volumes

    async def run(self) -> None:
        """Bring memory, disk and host together. Networks and volumes are loaded."""
        await asyncio.to_thread(self._load)
        found = {each.id: each for each in await self._base.runtime.discover()}
        verdicts = {
            container.id: self._verdict(
                container, found.get(container.id) or ProcessState(id=container.id, state="absent")
            )
            for container in self._base.registry
        }
        running = [c for c in self._base.registry if verdicts[c.id] == "adopt"]
        spared = [c for c in self._base.registry if verdicts[c.id] == "spare" and c.id in found]
        await self._repair_network([*running, *spared])
        for container in spared:
            self._hold_volumes(container)
        await self._sweep_strangers(found)
        await asyncio.gather(
            *(self._settle(c, verdicts[c.id], found.get(c.id)) for c in self._base.registry)
        )
        await asyncio.to_thread(self._volumes.unmount_unused)
        self._follow_policies()

    def _verdict(self, container: Container, found: ProcessState) -> Verdict:
        if container.unreadable:
            return "spare"
        has_place = self._base.places.run(container.id).exists()
        return verdict(container.record, found, has_place=has_place)

    def _load(self) -> None:
        unreadable = []
        for record, problem in self._base.folder.load():
            if problem:
                unreadable.append(Container(record, unreadable=problem))
            else:
                self._base.registry.add(Container(record))
        for container in unreadable:
            if not self._base.registry.is_free(container.name):
                container.record = replace(container.record, name=container.short_id)
            self._base.registry.add(container)
            _log.error("container %s is dead: %s", container.short_id, container.unreadable)
        close_folder(self._base.places.trash)
        close_folder(self._base.places.runs)
        sweep_away(list(self._base.places.trash.iterdir()))

    async def _repair_network(self, running: list[Container]) -> None:
        """Exactly the sandboxes and ports of those that run; what cannot be is reported."""
        published = {
            container.id: container.record.ports for container in running if container.record.ports
        }
        service_ports = self._networks.service_ports
        published.update(await asyncio.to_thread(service_ports.recall))
        refused = await self._host.repair(
            self._networks.bridges(),
            [self._links.sandbox_of(c.record) for c in running if has_sandbox(c.record)],
            published,
        )
        for owner, error in refused.items():
            service_ports.forget(owner)
            _log.error("the network of %s cannot be restored: %s", owner, error)
        for container in running:
            self._links.adopt(container.record)
        self._networks.tell_zones()

    async def _sweep_strangers(self, found: dict[str, ProcessState]) -> None:
        """Processes, folders and mounts that belong to no record."""
        strangers = {id_ for id_ in found if self._base.registry.get(id_) is None}
        for container_id in strangers:
            _log.info("removing what is left of container %s", container_id[:12])
            await self._base.runtime.repair(container_id)
        await asyncio.to_thread(self._sweep_runs)

    def _sweep_runs(self) -> None:
        for place in self._base.places.runs.iterdir():
            if self._base.registry.get(place.name) is None:
                remove_place(place)

    async def _settle(
        self, container: Container, decided: Verdict, found: ProcessState | None
    ) -> None:
        try:
            if decided == "adopt" and found is not None:
                self._adopt(container, found)
            elif decided == "end" and found is not None and found.exit is not None:
                await self._runs.ended(container, found.exit)
            elif decided == "undo":
                await self._undo(container)
            elif decided == "spare":
                return
            elif decided in {"end", "lose"}:
                await self._base.runtime.repair(container.id)
                await self._runs.ended(
                    container, Exit(code=LOST_CODE, finished_at=utc_now(), lost=True)
                )
            else:
                await self._sweep(container, swept=decided == "sweep")
        except (SkepError, OSError) as error:
            _log.error("container %s cannot be repaired: %s", container.id[:12], error)
            container.dead = decided != "adopt"

    def _hold_volumes(self, container: Container) -> None:
        for mount in container.record.mounts:
            if mount.type == "volume":
                self._volumes.keep_mounted(mount.source, container.id)

    def _adopt(self, container: Container, found: ProcessState) -> None:
        self._hold_volumes(container)
        self._runs.adopt(container, found.pid, paused=found.paused)

    async def _undo(self, container: Container) -> None:
        await self._base.runtime.repair(container.id)
        await asyncio.to_thread(remove_place, self._base.places.run(container.id))
        undone = replace(container.record, phase="created", started_at=ZERO_TIME)
        container.record = unlinked(undone)
        await self._base.notes.keep(container)
        if undone.host_config.auto_remove:
            await self._lifecycle.remove(container, force=True, volumes=True)

    async def _sweep(self, container: Container, *, swept: bool) -> None:
        if swept:
            await self._base.runtime.repair(container.id)
        await asyncio.to_thread(remove_place, self._base.places.run(container.id))
        record = container.record
        if record.host_config.auto_remove and record.phase == "exited":
            await self._lifecycle.remove(container, force=True, volumes=True)

    def _follow_policies(self) -> None:
        """Those that did not run when we came, and that their policy wants to run."""
        for container in self._base.registry:
            record = container.record
            if record.phase != "exited" or container.restarting or container.removing:
                continue
            if container.dead:
                continue
            if wants_start_at_boot(
                record.host_config.restart_policy,
                exit_code=record.exit_code,
                restarts=record.restart_count,
                manually_stopped=record.manually_stopped,
            ):
                container.record = replace(record, manually_stopped=False)
                self._runs.restart_soon(container)
