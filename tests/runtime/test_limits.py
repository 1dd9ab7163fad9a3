"""Limits hold, and what was used is told."""

from __future__ import annotations

import asyncio

import pytest

from skep.kit.errors import NotFound
from skep.model.rules.resources import LEAST_NANO_CPUS
from skep.runtime.bundle import Limits, Mount, Rlimit
from skep.testing.container_host import ContainerHost

EATS_MEMORY = "dd if=/dev/zero of=/dev/null bs=60M count=1"
SMALL = Limits(memory_bytes=24 << 20, memory_swap_bytes=24 << 20)


async def test_a_container_that_takes_too_much_memory_is_killed_and_says_so(
    host: ContainerHost,
) -> None:
    bundle = await host.running(host.shell(f"exec {EATS_MEMORY}", resources=SMALL))
    end = await host.runtime.wait(bundle.id)
    assert (end.code, end.oom_killed) == (137, True)
    found = await host.found_after_restart(bundle)
    assert found.exit == end


async def test_a_kill_for_memory_among_its_children_is_told_too(host: ContainerHost) -> None:
    bundle = await host.running(host.shell(f"{EATS_MEMORY}; exit 3", resources=SMALL))
    end = await host.runtime.wait(bundle.id)
    assert (end.code, end.oom_killed) == (3, True)


async def test_limits_are_read_back_from_the_kernel(host: ContainerHost) -> None:
    limits = Limits(memory_bytes=64 << 20, pids_limit=20, nano_cpus=500_000_000, cpu_shares=512)
    bundle = await host.running(host.bundle("/bin/sleep", "1000", resources=limits))
    stats = await host.runtime.stats(bundle.id)
    assert (stats.memory.limit_bytes, stats.pids_limit) == (64 << 20, 20)


async def test_too_many_processes_cannot_be_forked(host: ContainerHost) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 1 & done"
    assert "can't fork" in await host.output(script, resources=Limits(pids_limit=12))


async def test_a_half_processor_throttles_a_busy_container(host: ContainerHost) -> None:
    busy = host.shell("while :; do :; done", resources=Limits(nano_cpus=100_000_000))
    await host.running(busy)
    async with asyncio.timeout(10):
        while (await host.runtime.stats(busy.id)).cpu.throttled_ns == 0:
            await asyncio.sleep(0.05)
    cpu = (await host.runtime.stats(busy.id)).cpu
    assert cpu.total_ns > 0
    assert cpu.throttled_periods > 0


async def test_the_least_that_a_service_may_have_of_a_processor_can_be_had(
    host: ContainerHost,
) -> None:
    """A thousandth: the kernel grants no less than 1 ms in its longest period, a second."""
    least = Limits(nano_cpus=LEAST_NANO_CPUS)
    bundle = await host.running(host.bundle("/bin/sleep", "1000", resources=least))
    assert (await host.runtime.find(bundle.id)).state == "running"


async def test_open_files_and_shared_memory_are_limited(host: ContainerHost) -> None:
    output = await host.output(
        "ulimit -n; busybox df -k /dev/shm",
        rlimits=(Rlimit(name="nofile", soft=123, hard=456),),
        shm_bytes=1 << 20,
    )
    assert output.startswith("123\n")
    assert " 1024 " in output


async def test_a_mount_replaces_the_default_at_its_place(host: ContainerHost) -> None:
    own = Mount(destination="/dev/shm", source="tmpfs", type="tmpfs", options=("size=2m",))
    assert " 2048 " in await host.output("busybox df -k /dev/shm", mounts=(own,))


async def test_statistics_of_an_ended_and_removed_container(host: ContainerHost) -> None:
    bundle = await host.running(host.bundle("/bin/true"))
    await host.runtime.wait(bundle.id)
    assert (await host.runtime.stats(bundle.id)).pids == 0
    await host.runtime.delete(bundle.id)
    with pytest.raises(NotFound):
        await host.runtime.stats(bundle.id)
