"""Part 2: a container's age and the end of a followed log were reckoned by the wall clock. To set
it ended a start period at once, or never, and followed a log for an hour too long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from skep.kit.clock import NS_PER_S
from skep.model.container import Health
from skep.model.service import HealthConfig
from skep.testing.engine_host import EngineHost, engine_host

MS = 1_000_000
HOUR_S = 3600
OLD_TIME_NS = time.time_ns


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[EngineHost]:
    async with engine_host(tmp_path) as host:
        yield host
    assert host.leftovers() == []


def set_clock(monkeypatch: pytest.MonkeyPatch, shift_s: float) -> None:
    """The wall clock of what is tested is wrong by so much from now on."""
    shift = timedelta(seconds=shift_s)
    monkeypatch.setattr("skep.engine.containers.health.utc_now", lambda: datetime.now(UTC) + shift)
    monkeypatch.setattr(time, "time_ns", lambda: OLD_TIME_NS() + int(shift_s * NS_PER_S))


def failing(start_period_s: float) -> HealthConfig:
    return HealthConfig(
        test=["CMD", "false"],
        interval=50 * MS,
        start_interval=50 * MS,
        start_period=int(start_period_s * NS_PER_S),
        retries=1,
    )


async def probes(host: EngineHost, container_id: str, count: int) -> Health:
    """The health after so many probes, at most five."""
    async with asyncio.timeout(10):
        while True:
            health = (await host.engine.containers.inspect(container_id)).state.health
            assert isinstance(health, Health)
            if len(health.log) >= count:
                return health
            await asyncio.sleep(0.02)


async def test_a_clock_set_ahead_does_not_end_the_start_period(
    host: EngineHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = await host.run(healthcheck=failing(HOUR_S))
    await probes(host, id_, 1)
    set_clock(monkeypatch, 2 * HOUR_S)
    assert (await probes(host, id_, 4)).status == "starting"


async def test_a_clock_set_back_does_not_prolong_the_start_period(
    host: EngineHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = await host.run(healthcheck=failing(0.5))
    assert (await probes(host, id_, 1)).status == "starting"
    set_clock(monkeypatch, -HOUR_S)
    async with asyncio.timeout(10):
        while (await probes(host, id_, 1)).status != "unhealthy":
            await asyncio.sleep(0.02)


async def test_a_followed_log_ends_in_time_though_the_clock_was_set_back(
    host: EngineHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = await host.shell("echo line; sleep 600")
    await host.until_log(id_, "line\n")
    end_ns = time.time_ns() + NS_PER_S
    reading = asyncio.create_task(host.log(id_, follow=True, until_ns=end_ns))
    await asyncio.sleep(0.2)
    set_clock(monkeypatch, -HOUR_S)
    async with asyncio.timeout(10):
        assert await reading == "line\n"
