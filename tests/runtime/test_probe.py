"""A host that cannot run containers is told at start, with the program's name and a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from skep.kit.errors import Unavailable
from skep.runtime.conmon import ConmonRuntime
from skep.testing.container_host import ContainerHost


def test_a_program_that_is_not_installed_is_named_with_its_package(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r'"no-such-runc" is not installed.*apt install'):
        ConmonRuntime(tmp_path, cgroup_parent="/skep-none", runtime="no-such-runc")


async def test_a_runtime_that_refuses_this_host_is_quoted(
    host: ContainerHost, tmp_path: Path
) -> None:
    """As crun 1.8.1 does on a hybrid host."""
    refusing = tmp_path / "crun"
    refusing.write_text("#!/bin/sh\necho cgroups in hybrid mode not supported >&2\nexit 1\n")
    refusing.chmod(0o755)
    runtime = ConmonRuntime(
        host.root / "other", cgroup_parent=host.cgroup_parent, runtime=str(refusing)
    )
    with pytest.raises(Unavailable, match=r"crun cannot run .*hybrid mode.*use runc"):
        await runtime.probe()
    assert await runtime.discover() == []
    await runtime.close()
