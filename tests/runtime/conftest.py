"""Every test here may have a host for container processes (skep.testing.container_host)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.testing.container_host import ContainerHost, container_host, make_busybox_rootfs


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("busybox")
    make_busybox_rootfs(root)
    return root


@pytest.fixture
async def host(rootfs: Path) -> AsyncIterator[ContainerHost]:
    async with container_host(rootfs) as host:
        yield host
