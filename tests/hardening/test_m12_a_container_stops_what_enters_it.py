"""M12: a container may stop (SIGSTOP) what runc makes inside it, before the program runs.
Its probes then hung for ever, so it never got unhealthy, and so did `docker exec`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from skep.kit.errors import SkepError
from skep.model.container import ExecCreate, ExecStart, Health
from skep.model.service import HealthConfig
from skep.testing.engine_host import EngineHost, engine_host

MS = 1_000_000
STOPS_ALL_OTHERS = """
echo stopping
while :; do
    for each in /proc/[0-9]*; do
        pid=${each#/proc/}
        [ $pid = 1 ] || kill -STOP $pid 2>/dev/null
    done
done
"""
IN_TIME_S = 15.0


async def until_unhealthy(host: EngineHost, container_id: str) -> Health:
    async with asyncio.timeout(IN_TIME_S):
        while True:
            health = (await host.engine.containers.inspect(container_id)).state.health
            if isinstance(health, Health) and health.status == "unhealthy":
                return health
            await asyncio.sleep(0.02)


def makers(host: EngineHost) -> list[int]:
    """Processes of this host that still make an exec."""
    mark = f"{host.settings.exec_root}/bundles/".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if mark in words and b"/execs/" in words:
            found.append(int(path.parent.name))
    return found


async def until_nobody_makes(host: EngineHost) -> None:
    async with asyncio.timeout(IN_TIME_S):
        while makers(host):
            await asyncio.sleep(0.02)


async def enter(host: EngineHost, container_id: str) -> SkepError | None:
    containers = host.engine.containers
    exec_id = await containers.exec_create(container_id, ExecCreate(cmd=["true"]))
    try:
        await containers.exec_start(exec_id, ExecStart(detach=True))
    except SkepError as error:
        assert (await containers.exec_inspect(exec_id)).running is False
        return error
    return None


async def test_its_probes_end_and_count_as_failures(tmp_path: Path) -> None:
    async with engine_host(tmp_path) as host:
        health = HealthConfig(test=["CMD", "true"], interval=50 * MS, timeout=500 * MS, retries=2)
        id_ = await host.shell(STOPS_ALL_OTHERS, healthcheck=health)
        shown = await until_unhealthy(host, id_)
        assert shown.log[-1].exit_code == -1
        assert "exceeded timeout (0.5s)" in shown.log[-1].output
        assert len(makers(host)) <= 4  # those of the probe that runs now
        await host.engine.containers.kill(id_)
        await until_nobody_makes(host)


async def test_an_exec_into_it_ends_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skep.runtime.conmon._EXEC_TIMEOUT_S", 1.0, raising=False)
    async with engine_host(tmp_path) as host:
        id_ = await host.shell(STOPS_ALL_OTHERS)
        async with asyncio.timeout(IN_TIME_S):
            while (error := await enter(host, id_)) is None:
                pass  # it was quicker than the container
        assert "was not started within 1 s" in str(error)
        await until_nobody_makes(host)
        await host.engine.containers.kill(id_)
