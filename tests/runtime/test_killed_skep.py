"""kill -9 of the process that is making containers: the next one finds and removes every half."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from skep.testing.container_host import ContainerHost

MAKER = """
import asyncio, sys
from pathlib import Path
from skep.runtime.bundle import Bundle
from skep.runtime.conmon import ConmonRuntime
from skep.runtime.door import Io

async def one(runtime, number):
    bundle = Bundle(id=f"{number:064x}", rootfs=sys.argv[3], argv=("/bin/sleep", "1000"))
    await runtime.create(bundle, Io())
    await runtime.start(bundle.id)

async def main():
    runtime = ConmonRuntime(Path(sys.argv[1]), cgroup_parent=sys.argv[2])
    print("begin", flush=True)
    await asyncio.gather(*(one(runtime, number) for number in range(6)))
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.03, 0.06, 0.1, 0.2])
async def test_every_half_is_found_and_removed(host: ContainerHost, after_s: float) -> None:
    maker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MAKER, str(host.root), host.cgroup_parent, str(host.rootfs),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert maker.stdout is not None
    assert await maker.stdout.readline() == b"begin\n"
    await asyncio.sleep(after_s)
    maker.send_signal(signal.SIGKILL)
    await maker.wait()
    found = await host.runtime.discover()
    assert {item.state for item in found} <= {"created", "running", "partial", "orphaned"}
    for item in found:
        await host.runtime.repair(item.id)
    assert await host.runtime.discover() == []
    async with asyncio.timeout(10):
        while left := processes_of(host):
            await asyncio.sleep(0.01)
    assert left == []


def processes_of(host: ContainerHost) -> list[str]:
    """Command lines that still name this host's folder: conmon, runc."""
    lines = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                lines.append((folder / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return [line for line in lines if str(host.root) in line]
