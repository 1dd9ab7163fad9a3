"""On a network with icc=false a member reached another through the bridge's own address: the ports
are isolated, but the host forwarded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.testing.netlab import (
    Lab,
    bridge,
    call_tcp,
    laboratory,
    sandbox,
    unreachable,
)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """Two members that send each other everything through the router."""
    async with laboratory(tmp_path) as lab:
        await lab.network.ensure_bridge(bridge(icc=False))
        for last, peer in ((2, 3), (3, 2)):
            await lab.network.create_sandbox(sandbox(last))
            with lab.inside(f"box17-{last}"):
                lab.run("ip", "route", "add", f"172.17.0.{peer}/32", "via", "172.17.0.1")
        with lab.inside("box17-2"):
            await lab.serve_tcp("172.17.0.2", 80)
        yield lab


async def test_members_do_not_reach_each_other_through_the_host(lab: Lab) -> None:
    with lab.inside("box17-3"):
        assert await unreachable(call_tcp("172.17.0.2", 80))
