"""An engine on a host of its own: a network namespace, a data root, an exec root, busybox.

For tests of the engine and of whatever stands on it. Nothing touches the machine's own network;
`leftovers` tells what an engine, or a crash of one, left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skep.engine import Engine, EngineSettings
from skep.kit.linux import mounts_below, unmount
from skep.model.container import ContainerCreate, HostConfig
from skep.network.kernel import KernelNetwork
from skep.testing.images import make_image
from skep.testing.netlab import two_machines

_PATIENCE_S = 10.0

BUSYBOX = "busybox:1"


@dataclass
class EngineHost:
    """One engine after another on the same folders, as skep is restarted."""

    settings: EngineSettings
    host_ns: int
    neighbour_ns: int
    engines: list[Engine] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return self.engines[-1]

    async def start(self) -> Engine:
        engine = Engine(self.settings)
        self.engines.append(engine)
        await engine.start()
        return engine

    async def restart(self) -> Engine:
        """As after a stop of skep: nothing in memory, everything on the host as it was."""
        await self.engine.stop()
        return await self.start()

    async def load_image(self, name: str = BUSYBOX, **words: Any) -> str:
        """An image of busybox; words as in `testing.images.make_image`. Returns its id."""
        archive = self.settings.data_root / f"{secrets.token_hex(4)}.tar"
        make_image(archive, name, **words)
        try:
            return (await self.engine.images.load(_pieces(archive)))[0].id
        finally:
            archive.unlink()

    async def create(self, *cmd: str, name: str = "", **words: Any) -> str:
        """A container of busybox; `host` words go to its HostConfig. Returns its id."""
        host = HostConfig(**words.pop("host", {}))
        wish = ContainerCreate(
            **{"image": BUSYBOX, "cmd": list(cmd) or ["sleep", "600"], "host_config": host, **words}
        )
        return (await self.engine.containers.create(wish, name)).id

    async def run(self, *cmd: str, name: str = "", **words: Any) -> str:
        """The same, started."""
        container_id = await self.create(*cmd, name=name, **words)
        await self.engine.containers.start(container_id)
        return container_id

    async def shell(self, script: str, name: str = "", **words: Any) -> str:
        return await self.run("sh", "-c", script, name=name, **words)

    async def output(self, script: str, **words: Any) -> str:
        """What a shell script in a new container wrote; the container is removed."""
        container_id = await self.shell(f"{{ {script}\n}} 2>&1", **words)
        await self.engine.containers.wait(container_id)
        try:
            return await self.log(container_id)
        finally:
            await self.engine.containers.remove(container_id, volumes=True)

    async def log(self, container_id: str, **words: Any) -> str:
        chunks = await self.engine.containers.logs(container_id, **words)
        return b"".join([chunk.data async for chunk in chunks]).decode()

    async def until_log(self, container_id: str, text: str) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            while await self.log(container_id) != text:
                await asyncio.sleep(0.02)

    async def state(self, container_id: str) -> str:
        return (await self.engine.containers.inspect(container_id)).state.status

    def leftovers(self) -> list[str]:
        """Mounts, folders, cgroups and sandboxes of containers on this host."""
        exec_root, data_root = self.settings.exec_root, self.settings.data_root
        found = [str(path) for path in mounts_below(data_root)]
        found += [str(path) for path in mounts_below(exec_root) if path != exec_root / "netns"]
        for folder in ("bundles", "runc", "containers", "netns"):
            found += [str(path) for path in (exec_root / folder).glob("*")]
        found += [str(path) for path in (data_root / "containers").glob("*")]
        return found + [str(path) for path in self._cgroups()]

    def _cgroups(self) -> list[Path]:
        return [
            path
            for root in Path("/sys/fs/cgroup").glob("*/")
            for path in (root / f"skep-{self.settings.instance}").glob("*/")
        ]

    async def clear(self) -> None:
        """Remove everything: containers, sandboxes, bridges, rules."""
        engine = self.engine
        for row in await engine.containers.list(all_containers=True):
            await engine.containers.remove(row.id, force=True, volumes=True)
        await engine.stop()
        network = KernelNetwork(self.settings.exec_root, self.settings.instance)
        await network.open()
        await network.clear()
        await network.close()


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece


@contextlib.asynccontextmanager
async def engine_host(tmp_path: Path, **settings: Any) -> AsyncIterator[EngineHost]:
    """A started engine with BUSYBOX loaded; everything of it is gone afterwards."""
    instance = f"t{secrets.token_hex(3)}"
    words: dict[str, Any] = {"data_root": tmp_path / "data", "instance": instance}
    if "exec_root" not in settings:
        words["exec_root"] = Path(tempfile.mkdtemp(prefix="skep-", dir="/dev/shm"))
    with two_machines(tmp_path) as (host_ns, neighbour_ns):
        host = EngineHost(EngineSettings(**words | settings), host_ns, neighbour_ns)
        await host.start()
        try:
            await host.load_image()
            yield host
        finally:
            await host.clear()
            _sweep(host)


def _sweep(host: EngineHost) -> None:
    exec_root = host.settings.exec_root
    for path in (*mounts_below(exec_root), *mounts_below(host.settings.data_root)):
        unmount(path)
    for root in Path("/sys/fs/cgroup").glob("*/"):
        parent = root / f"skep-{host.settings.instance}"
        if parent.exists():
            parent.rmdir()
    shutil.rmtree(exec_root, ignore_errors=True)
