"""H11: a container's /etc/hosts, writable even with a read-only root, lay on the tmpfs where the
daemon keeps its own state. One that wrote there without end kept all others from starting, and the
daemon itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.testing.disks import small_disk
from skep.testing.engine_host import EngineHost, engine_host

_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
_WRITE = "; ".join(
    f"dd if=/dev/zero of={file} bs=1M count=3 2>/dev/null && echo wrote" for file in _FILES
)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[EngineHost]:
    """An engine whose exec root is as small as a /run can be, and has a file system to itself."""
    with small_disk(tmp_path / "run", 8):
        async with engine_host(tmp_path, exec_root=tmp_path / "run/skep") as host:
            yield host
        assert host.leftovers() == []


async def test_what_it_writes_lies_on_the_disk(host: EngineHost) -> None:
    writer = await host.shell(f"{_WRITE}; sleep 600")
    await host.until_log(writer, "wrote\n" * 3)
    for file in _FILES:
        kept = host.settings.data_root / "containers" / writer / Path(file).name
        assert kept.stat().st_size == 3 << 20
    assert await host.output("echo others run") == "others run\n"
    await host.restart()
    assert await host.state(writer) == "running"
    assert await host.output("echo after a restart too") == "after a restart too\n"


async def test_with_a_read_only_root_it_writes_nothing(host: EngineHost) -> None:
    script = f"{_WRITE}; cat /etc/hostname >/dev/null && echo read"
    assert await host.output(script, host={"readonly_rootfs": True}) == "read\n"


async def test_a_partner_sees_the_same_files(host: EngineHost) -> None:
    owner = await host.run()
    shared = {"network_mode": f"container:{owner}"}
    assert await host.output("cat /etc/hostname", host=shared) == f"{owner[:12]}\n"
