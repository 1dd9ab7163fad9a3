"""A host for container processes in tests: its own exec_root, its own cgroups, busybox as image."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skep.runtime import cgroups
from skep.runtime.bundle import Bundle
from skep.runtime.capabilities import DEFAULT
from skep.runtime.cgroups import Cgroup
from skep.runtime.conmon import ConmonRuntime
from skep.runtime.door import Io, ProcessState
from skep.runtime.seccomp import default_profile

_APPLETS = (
    "cat", "cp", "dd", "echo", "hostname", "id", "kill", "ls", "mkdir", "mount", "sh", "sleep",
    "stty", "touch", "true", "unshare", "wc",
)  # fmt: skip


def make_busybox_rootfs(root: Path) -> None:
    """An image's files, from the static busybox that Debian installs as /bin/busybox."""
    root.chmod(0o755)
    for name in ("bin", "sbin", "proc", "sys", "dev", "etc", "tmp", "run"):
        (root / name).mkdir()
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in _APPLETS:
        (root / "bin" / applet).symlink_to("busybox")


@dataclass
class ContainerHost:
    """One runtime after another on the same folder, as skep is restarted."""

    root: Path
    cgroup_parent: str
    rootfs: Path
    runtimes: list[ConmonRuntime] = field(default_factory=list)

    @property
    def runtime(self) -> ConmonRuntime:
        return self.runtimes[-1] if self.runtimes else self._new()

    async def restart(self) -> ConmonRuntime:
        """As after kill -9 of skep: nothing in memory, everything on the host as it was."""
        await self.runtime.close()
        return self._new()

    async def found_after_restart(self, bundle: Bundle) -> ProcessState:
        return await (await self.restart()).find(bundle.id)

    def bundle(self, *argv: str, **changes: Any) -> Bundle:
        """A container of busybox with docker's default confinement."""
        words = {
            "id": secrets.token_hex(32),
            "rootfs": str(self.rootfs),
            "argv": argv,
            "env": ("PATH=/bin:/sbin",),
            "seccomp": default_profile(DEFAULT),
            "hostname": "box",
        }
        return Bundle(**(words | changes))

    def shell(self, script: str, **changes: Any) -> Bundle:
        return self.bundle("/bin/sh", "-c", script, **changes)

    async def running(self, bundle: Bundle, io: Io | None = None) -> Bundle:
        await self.runtime.create(bundle, io or Io(log_path=self.log(bundle)))
        await self.runtime.start(bundle.id)
        return bundle

    async def output(self, script: str, **changes: Any) -> str:
        """What a shell script in a container wrote, and its exit code on the last line."""
        bundle = await self.running(self.shell(f"{{ {script}; }} 2>&1", **changes))
        end = await self.runtime.wait(bundle.id)
        records = self.log(bundle).read_text().splitlines()
        return "\n".join([*(record.split(" ", 3)[3] for record in records), str(end.code)])

    def log(self, bundle: Bundle) -> Path:
        return self.root / f"{bundle.id}.log"

    def place(self, bundle: Bundle) -> Path:
        return self.root / "bundles" / bundle.id

    def cgroup(self, bundle: Bundle) -> Cgroup:
        return Cgroup(cgroups.of_this_host(), f"{self.cgroup_parent}/{bundle.id}")

    def _new(self) -> ConmonRuntime:
        runtime = ConmonRuntime(self.root, cgroup_parent=self.cgroup_parent)
        self.runtimes.append(runtime)
        return runtime


@asynccontextmanager
async def container_host(rootfs: Path) -> AsyncIterator[ContainerHost]:
    """A host whose containers, cgroups and files are gone at the end; no descriptor is left."""
    name = f"skep-test-{secrets.token_hex(4)}"
    host = ContainerHost(Path("/dev/shm") / name, f"/{name}", rootfs)
    host.root.mkdir()
    before = held_descriptors()
    try:
        yield host
    finally:
        for found in await host.runtime.discover():
            await host.runtime.repair(found.id)
        await host.runtime.close()
        Cgroup(cgroups.of_this_host(), host.cgroup_parent).remove()
        shutil.rmtree(host.root)
    assert held_descriptors() == before


def held_descriptors() -> int:
    """How many descriptors of processes, pipes and sockets this process holds."""
    kinds = ("anon_inode:[pidfd]", "pipe:", "socket:")
    held = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            held += str(descriptor.readlink()).startswith(kinds)
        except FileNotFoundError:
            continue  # the one that listed them
    return held
