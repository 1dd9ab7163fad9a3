"""Whether a running container is well: probes by exec, docker's states and defaults."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime

import msgspec

from skep.engine.containers.base import Base
from skep.engine.containers.container import Container
from skep.engine.containers.execs import ExecSpecs
from skep.kit.clock import NS_PER_S, utc_now
from skep.kit.errors import SkepError
from skep.model.container import ExecCreate, Health, HealthcheckResult
from skep.model.service import HealthConfig

_log = logging.getLogger(__name__)
_LOG_LENGTH = 5
_OUTPUT_BYTES = 4096
_TIMED_OUT = -1
_SIGKILL = 9
_SHELL = ("/bin/sh", "-c")


class Probe(msgspec.Struct, frozen=True):
    """What to run, in seconds how often and how long; docker's defaults where nothing is said."""

    argv: tuple[str, ...]
    interval_s: float
    timeout_s: float
    start_period_s: float
    start_interval_s: float
    retries: int


def probe_of(config: HealthConfig | None, shell: list[str] | None) -> Probe | None:
    """None when there is nothing to ask: no test, or test NONE. Pure."""
    if config is None or not config.test or config.test[0] == "NONE":
        return None
    kind, *rest = config.test
    argv = (*(shell or _SHELL), *rest) if kind == "CMD-SHELL" else tuple(rest)
    if not argv:
        return None
    return Probe(
        argv=argv,
        interval_s=_seconds(config.interval, 30),
        timeout_s=_seconds(config.timeout, 30),
        start_period_s=_seconds(config.start_period, 0),
        start_interval_s=_seconds(config.start_interval, 5),
        retries=config.retries or 3,
    )


def _seconds(nanoseconds: int, default_s: float) -> float:
    return nanoseconds / NS_PER_S if nanoseconds else default_s


def after_probe(health: Health, result: HealthcheckResult, probe: Probe, *, age_s: float) -> Health:
    """The state after one more probe, that ended when the container was so old. Failures in the
    start period count for nothing. Pure."""
    log = [*health.log, result][-_LOG_LENGTH:]
    if result.exit_code == 0:
        return Health(status="healthy", failing_streak=0, log=log)
    if health.status == "starting" and age_s < probe.start_period_s:
        return msgspec.structs.replace(health, log=log)
    streak = health.failing_streak + 1
    status = "unhealthy" if streak >= probe.retries else health.status
    return Health(status=status, failing_streak=streak, log=log)


def wait_s(health: Health, probe: Probe, *, age_s: float) -> float:
    """Until the next probe: more often during the start period, until it was well once. Pure."""
    if health.status == "starting" and age_s < probe.start_period_s:
        return probe.start_interval_s
    return probe.interval_s


def _ages(started_at: datetime) -> Callable[[], float]:
    """Seconds since then: the wall clock says it once, and may be set afterwards."""
    born_s = time.monotonic() - max((utc_now() - started_at).total_seconds(), 0.0)
    return lambda: time.monotonic() - born_s


class HealthWatch:
    """One task for each running container that has a probe."""

    def __init__(self, base: Base, specs: ExecSpecs) -> None:
        self._base = base
        self._specs = specs

    def begin(self, container: Container) -> None:
        config = container.record.config
        probe = probe_of(config.healthcheck, config.shell)
        if probe is None:
            return
        container.health = Health(status="starting")
        container.probing = asyncio.create_task(
            self._keep_asking(container, probe), name="container-health"
        )

    def stop(self, container: Container) -> None:
        if container.probing is not None:
            container.probing.cancel()
            container.probing = None
        if container.health is not None and container.health.status != "none":
            container.health = msgspec.structs.replace(container.health, status="unhealthy")

    async def _keep_asking(self, container: Container, probe: Probe) -> None:
        age_s = _ages(container.record.started_at)
        while True:
            health = container.health or Health(status="starting")
            await asyncio.sleep(wait_s(health, probe, age_s=age_s()))
            if container.paused:
                continue
            result = await self._ask(container, probe)
            container.health = after_probe(health, result, probe, age_s=age_s())
            if container.health.status != health.status:
                self._base.tell(container, f"health_status: {container.health.status}")

    async def _ask(self, container: Container, probe: Probe) -> HealthcheckResult:
        start = utc_now()
        try:
            code, output = await self._run(container, probe)
        except SkepError as error:
            code, output = _TIMED_OUT, str(error)
        except Exception as error:
            _log.exception("container %s: its health cannot be asked for", container.short_id)
            code, output = _TIMED_OUT, f"internal error: {error}"
        return HealthcheckResult(start=start, end=utc_now(), exit_code=code, output=output)

    async def _run(self, container: Container, probe: Probe) -> tuple[int, str]:
        try:
            async with asyncio.timeout(probe.timeout_s):
                return await self._run_to_its_end(container, probe)
        except TimeoutError:
            return _TIMED_OUT, f"Health check exceeded timeout ({probe.timeout_s:g}s)"

    async def _run_to_its_end(self, container: Container, probe: Probe) -> tuple[int, str]:
        spec = await self._specs.spec(container, ExecCreate(cmd=list(probe.argv)), attach=True)
        running = await self._base.runtime.exec(container.id, spec)
        output = bytearray()
        try:
            while running.stream and (chunk := await running.stream.read()) is not None:
                output += chunk.data[: _OUTPUT_BYTES - len(output)]
            end = await running.wait()
        finally:
            if running.stream:
                running.stream.close()
            await running.kill(_SIGKILL)
        return end.code, output.decode(errors="replace")
