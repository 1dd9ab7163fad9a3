"""Restart policies: when a container that ended starts again, and after how long."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from skep.engine.containers.preparation import GroundWork
from skep.engine.containers.record import Record
from skep.engine.containers.restart import next_delay_s, wants_restart, wants_start_at_boot
from skep.model.container import RestartPolicy
from skep.testing.engine_host import EngineHost

NO, ALWAYS = RestartPolicy(name="no"), RestartPolicy(name="always")
UNLESS = RestartPolicy(name="unless-stopped")
ON_FAILURE, TWICE = (
    RestartPolicy(name="on-failure"),
    RestartPolicy(name="on-failure", maximum_retry_count=2),
)

CASES = [
    # policy, exit code, restarts so far, stopped by a person -> again?
    (NO, 1, 0, False, False),
    (ALWAYS, 0, 99, False, True),
    (ALWAYS, 1, 0, True, False),
    (UNLESS, 0, 0, False, True),
    (UNLESS, 0, 0, True, False),
    (ON_FAILURE, 0, 0, False, False),
    (ON_FAILURE, 1, 99, False, True),
    (TWICE, 1, 1, False, True),
    (TWICE, 1, 2, False, False),
]


@pytest.mark.parametrize(("policy", "code", "restarts", "stopped", "again"), CASES)
def test_the_policy_decides(
    policy: RestartPolicy, code: int, restarts: int, stopped: bool, again: bool
) -> None:
    wanted = wants_restart(policy, exit_code=code, restarts=restarts, manually_stopped=stopped)
    assert wanted is again


def test_at_boot_always_forgets_that_it_was_stopped_and_unless_stopped_does_not() -> None:
    stopped = partial(wants_start_at_boot, exit_code=0, restarts=0, manually_stopped=True)
    assert stopped(ALWAYS)
    assert not stopped(UNLESS)


def test_the_delay_doubles_to_a_minute_and_begins_anew_after_a_long_run() -> None:
    delays, last = [], 0.0
    for _ in range(12):
        last = next_delay_s(last, ran_s=1.0)
        delays.append(last)
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == 60.0
    assert next_delay_s(60.0, ran_s=10.0) == 0.1


async def test_on_failure_tries_as_often_as_it_may(host: EngineHost) -> None:
    id_ = await host.shell("echo run; exit 1", host={"restart_policy": TWICE})
    assert (await host.engine.containers.wait(id_)).status_code == 1
    shown = await host.engine.containers.inspect(id_)
    assert (shown.restart_count, shown.state.status) == (2, "exited")
    assert await host.log(id_) == "run\n" * 3


async def test_a_killed_process_comes_back_and_a_stopped_one_does_not(host: EngineHost) -> None:
    id_ = await host.shell("kill -9 $$ 2>/dev/null; exit 1", host={"restart_policy": ALWAYS})
    async with asyncio.timeout(10):
        while (await host.engine.containers.inspect(id_)).restart_count < 2:
            await asyncio.sleep(0.02)
    await host.engine.containers.stop(id_, timeout_s=0)
    assert await host.state(id_) == "exited"
    await asyncio.sleep(0.5)
    assert await host.state(id_) == "exited"


async def test_one_that_waits_for_its_restart_says_so_and_can_be_removed(host: EngineHost) -> None:
    id_ = await host.shell("exit 1", host={"restart_policy": ALWAYS})
    async with asyncio.timeout(10):
        while await host.state(id_) != "restarting":
            await asyncio.sleep(0.01)
    await host.engine.containers.remove(id_, force=True)
    assert await host.engine.containers.list(all_containers=True) == []


async def test_removal_wins_over_a_restart_that_is_under_way(host: EngineHost) -> None:
    """At whatever moment of the loop it comes, no process is left."""
    for number in range(8):
        id_ = await host.shell("exit 1", host={"restart_policy": ALWAYS})
        await asyncio.sleep(0.1 + number * 0.015)
        await host.engine.containers.remove(id_, force=True)
    assert host.leftovers() == []


async def test_a_removal_that_begins_while_the_end_is_cleared_away_is_followed_by_no_restart(
    host: EngineHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear, clearing, go_on = GroundWork.clear, asyncio.Event(), asyncio.Event()

    async def slow(ground: GroundWork, record: Record) -> None:
        clearing.set()
        await go_on.wait()
        await clear(ground, record)

    monkeypatch.setattr(GroundWork, "clear", slow)
    id_ = await host.shell("exit 1", host={"restart_policy": ALWAYS})
    async with asyncio.timeout(10):
        await clearing.wait()
        removal = asyncio.create_task(host.engine.containers.remove(id_, force=True))
        await asyncio.sleep(0.05)
        go_on.set()
        await removal
    await asyncio.sleep(0.3)  # the first restart would come after 0.1 s
    assert host.leftovers() == []


async def test_with_the_machine_all_end_and_who_should_starts_again(host: EngineHost) -> None:
    """Deaf or not, and not as if somebody had stopped them."""
    deaf = await host.shell(
        "trap '' TERM; echo up; sleep 1000 & wait", host={"restart_policy": UNLESS}
    )
    polite = await host.shell("trap 'exit 3' TERM; echo up; sleep 1000 & wait")
    for id_ in (deaf, polite):
        await host.until_log(id_, "up\n")
    await host.engine.power_off(grace_s=0.5)
    found = [await host.engine.containers.inspect(id_) for id_ in (deaf, polite)]
    assert [each.state.status for each in found] == ["exited", "exited"]
    assert [each.state.exit_code for each in found] == [137, 3]
    await host.restart()
    async with asyncio.timeout(10):
        while await host.state(deaf) != "running":
            await asyncio.sleep(0.02)
    assert await host.state(polite) == "exited"
