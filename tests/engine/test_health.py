"""Health checks: what is asked, how answers count, and what is seen of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from skep.engine.containers.health import Probe, after_probe, probe_of, wait_s
from skep.model.container import Health, HealthcheckResult
from skep.model.service import HealthConfig
from skep.testing.engine_host import EngineHost

BIRTH = datetime(2026, 1, 1, tzinfo=UTC)
MS = 1_000_000


def result(code: int, after_s: float = 100) -> HealthcheckResult:
    return HealthcheckResult(end=BIRTH + timedelta(seconds=after_s), exit_code=code)


def after(*codes: int, probe: Probe, after_s: float = 100) -> Health:
    health = Health(status="starting")
    for code in codes:
        health = after_probe(health, result(code, after_s), probe, age_s=after_s)
    return health


def probe(**words: int) -> Probe:
    found = probe_of(HealthConfig(test=["CMD", "true"], **words), None)
    assert found is not None
    return found


def test_defaults_are_dockers() -> None:
    assert probe() == Probe(("true",), 30, 30, 0, 5, 3)


def test_cmd_shell_goes_through_the_images_shell_and_none_is_no_probe() -> None:
    words = HealthConfig(test=["CMD-SHELL", "a b"])
    assert probe_of(words, None).argv == ("/bin/sh", "-c", "a b")  # type: ignore[union-attr]
    assert probe_of(words, ["ash", "-c"]).argv == ("ash", "-c", "a b")  # type: ignore[union-attr]
    assert probe_of(HealthConfig(test=["NONE"]), None) is None
    assert probe_of(None, None) is None


def test_it_is_unhealthy_after_three_failures_in_a_row() -> None:
    assert after(1, 1, probe=probe()).status == "starting"
    assert after(1, 1, 1, probe=probe()).status == "unhealthy"
    assert after(0, 1, 1, probe=probe()).status == "healthy"
    assert after(1, 1, 1, 0, probe=probe()) == Health(
        status="healthy", failing_streak=0, log=[result(1)] * 3 + [result(0)]
    )


def test_failures_in_the_start_period_count_for_nothing() -> None:
    patient = probe(start_period=60 * 1000 * MS)
    early = after(1, 1, 1, 1, probe=patient, after_s=10)
    assert (early.status, early.failing_streak) == ("starting", 0)
    assert after(1, 1, 1, probe=patient, after_s=61).status == "unhealthy"


def test_the_start_interval_holds_until_it_is_well_or_the_period_ends() -> None:
    patient = probe(start_period=60 * 1000 * MS, start_interval=2 * 1000 * MS)
    assert wait_s(Health(status="starting"), patient, age_s=1) == 2
    assert wait_s(Health(status="healthy"), patient, age_s=1) == 30
    assert wait_s(Health(status="starting"), patient, age_s=61) == 30


def test_five_answers_are_kept() -> None:
    assert len(after(1, 1, 1, 1, 1, 1, 1, probe=probe()).log) == 5


async def test_a_container_turns_healthy_then_unhealthy_and_events_tell(host: EngineHost) -> None:
    events = host.engine.events.stream(lambda event: event.action.startswith("health_status"))
    health = HealthConfig(
        test=["CMD-SHELL", "echo looked; test ! -e /sick"], interval=50 * MS, retries=2
    )
    id_ = await host.shell("sleep 0.5; touch /sick; sleep 600", healthcheck=health)
    assert (await anext(events)).action == "health_status: healthy"
    row = (await host.engine.containers.list())[0]
    assert row.status.endswith("(healthy)")
    async with asyncio.timeout(10):
        assert (await anext(events)).action == "health_status: unhealthy"
    shown = (await host.engine.containers.inspect(id_)).state.health
    assert isinstance(shown, Health)
    assert (shown.status, shown.log[-1].exit_code) == ("unhealthy", 1)
    assert shown.log[-1].output == "looked\n"


async def test_a_probe_that_hangs_is_ended_and_counts_as_failure(host: EngineHost) -> None:
    health = HealthConfig(
        test=["CMD", "sleep", "600"], interval=50 * MS, timeout=100 * MS, retries=1
    )
    id_ = await host.run(healthcheck=health)
    async with asyncio.timeout(10):
        while True:
            shown = (await host.engine.containers.inspect(id_)).state.health
            if isinstance(shown, Health) and shown.status == "unhealthy":
                break
            await asyncio.sleep(0.02)
    assert shown.log[-1].exit_code == -1
    assert "exceeded timeout" in shown.log[-1].output
