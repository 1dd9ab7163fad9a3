"""Create, start, stop, kill, restart, rename, remove: docker's calls and docker's answers."""

from __future__ import annotations

import asyncio

import pytest

from skep.kit.errors import Conflict, InvalidArgument, NotFound, NotModified
from skep.model.container import ContainerUpdate, RestartPolicy
from skep.testing.engine_host import EngineHost


async def test_a_container_runs_its_command_and_keeps_its_exit_code(host: EngineHost) -> None:
    id_ = await host.shell("echo out; exit 7")
    result = await host.engine.containers.wait(id_)
    assert result.status_code == 7
    state = (await host.engine.containers.inspect(id_)).state
    assert (state.status, state.exit_code, state.running, state.pid) == ("exited", 7, False, 0)
    assert await host.log(id_) == "out\n"


async def test_one_that_was_never_started_is_created(host: EngineHost) -> None:
    id_ = await host.create(name="idle")
    row = (await host.engine.containers.list(all_containers=True))[0]
    assert (row.names, row.state, row.status) == (["/idle"], "created", "Created")
    assert await host.engine.containers.list() == []
    assert host.engine.containers.resolve(id_[:8]) == id_


async def test_it_is_found_by_id_name_and_prefix_and_by_nothing_else(host: EngineHost) -> None:
    id_ = await host.create(name="web")
    resolve = host.engine.containers.resolve
    assert {resolve(id_), resolve("web"), resolve("/web"), resolve(id_[:4])} == {id_}
    with pytest.raises(NotFound, match=r"^No such container: nobody$"):
        resolve("nobody")


async def test_two_containers_cannot_have_one_name(host: EngineHost) -> None:
    id_ = await host.create(name="web")
    with pytest.raises(Conflict) as refused:
        await host.create(name="web")
    assert str(refused.value) == (
        f'Conflict. The container name "/web" is already in use by container "{id_}". You have to'
        " remove (or rename) that container to be able to reuse that name."
    )


async def test_a_name_is_free_again_after_a_failed_create(host: EngineHost) -> None:
    with pytest.raises(NotFound, match="No such image: nothing:latest"):
        await host.create(name="web", image="nothing")
    assert await host.create(name="web")


async def test_a_started_one_cannot_be_started_and_a_stopped_one_not_be_stopped(
    host: EngineHost,
) -> None:
    id_ = await host.run()
    with pytest.raises(NotModified):
        await host.engine.containers.start(id_)
    await host.engine.containers.stop(id_, timeout_s=0)
    with pytest.raises(NotModified):
        await host.engine.containers.stop(id_)


async def test_stop_signals_first_and_the_process_may_end_by_itself(host: EngineHost) -> None:
    id_ = await host.shell("trap 'exit 5' TERM; echo ready; while :; do sleep 0.02; done")
    await host.until_log(id_, "ready\n")
    await host.engine.containers.stop(id_, timeout_s=20)
    assert (await host.engine.containers.inspect(id_)).state.exit_code == 5


async def test_stop_kills_what_does_not_listen(host: EngineHost) -> None:
    id_ = await host.shell("trap '' TERM; echo ready; while :; do sleep 0.02; done")
    await host.until_log(id_, "ready\n")
    await host.engine.containers.stop(id_, timeout_s=0)
    assert (await host.engine.containers.inspect(id_)).state.exit_code == 137


async def test_kill_sends_the_signal_that_was_asked_for(host: EngineHost) -> None:
    id_ = await host.shell("trap 'echo hup' HUP; echo ready; while :; do sleep 0.02; done")
    await host.until_log(id_, "ready\n")
    await host.engine.containers.kill(id_, "HUP")
    await host.until_log(id_, "ready\nhup\n")
    await host.engine.containers.kill(id_)
    assert await host.state(id_) == "exited"
    with pytest.raises(Conflict, match="is not running"):
        await host.engine.containers.kill(id_)
    with pytest.raises(InvalidArgument, match="invalid signal: NOPE"):
        await host.engine.containers.kill(id_, "NOPE")


async def test_restart_makes_a_new_process_over_the_same_files(host: EngineHost) -> None:
    id_ = await host.shell("echo x >> /count; wc -l < /count; sleep 600")
    await host.until_log(id_, "1\n")
    before = (await host.engine.containers.inspect(id_)).state.pid
    await host.engine.containers.restart(id_, timeout_s=0)
    await host.until_log(id_, "1\n2\n")
    assert (await host.engine.containers.inspect(id_)).state.pid != before


async def test_a_paused_one_stands_still_until_unpaused(host: EngineHost) -> None:
    id_ = await host.run()
    await host.engine.containers.pause(id_)
    assert await host.state(id_) == "paused"
    with pytest.raises(Conflict, match="paused"):
        await host.engine.containers.pause(id_)
    await host.engine.containers.unpause(id_)
    assert await host.state(id_) == "running"


async def test_a_paused_one_can_be_stopped(host: EngineHost) -> None:
    id_ = await host.run()
    await host.engine.containers.pause(id_)
    await host.engine.containers.stop(id_, timeout_s=0)
    assert await host.state(id_) == "exited"


async def test_a_running_one_is_only_removed_by_force(host: EngineHost) -> None:
    id_ = await host.run(name="web")
    with pytest.raises(Conflict) as refused:
        await host.engine.containers.remove(id_)
    assert str(refused.value) == (
        'cannot remove container "web": container is running: stop the container before removing'
        " or force remove"
    )
    await host.engine.containers.remove(id_, force=True)
    assert await host.engine.containers.list(all_containers=True) == []
    assert host.leftovers() == []


async def test_auto_remove_leaves_nothing_and_tells_the_exit_code(host: EngineHost) -> None:
    id_ = await host.create("sh", "-c", "exit 3", host={"auto_remove": True})
    waiting = asyncio.ensure_future(host.engine.containers.wait(id_, "removed"))
    await asyncio.sleep(0)
    await host.engine.containers.start(id_)
    assert (await waiting).status_code == 3
    assert host.leftovers() == []


async def test_an_auto_removed_one_that_cannot_be_started_is_removed(host: EngineHost) -> None:
    id_ = await host.create("/nothing/here", host={"auto_remove": True})
    waiting = asyncio.ensure_future(host.engine.containers.wait(id_, "removed"))
    await asyncio.sleep(0)
    with pytest.raises(InvalidArgument):
        await host.engine.containers.start(id_)
    async with asyncio.timeout(10):
        assert (await waiting).status_code == 127
    assert await host.engine.containers.list(all_containers=True) == []


async def test_a_program_that_is_not_there_leaves_code_127_and_nothing_else(
    host: EngineHost,
) -> None:
    id_ = await host.create("/nothing/here")
    with pytest.raises(InvalidArgument, match="no such file or directory"):
        await host.engine.containers.start(id_)
    state = (await host.engine.containers.inspect(id_)).state
    assert (state.status, state.exit_code) == ("created", 127)
    assert state.error != ""
    await host.engine.containers.remove(id_)
    assert host.leftovers() == []


async def test_a_name_can_be_changed_and_taken_by_another(host: EngineHost) -> None:
    id_ = await host.run(name="old")
    await host.engine.containers.rename(id_, "new")
    assert host.engine.containers.resolve("new") == id_
    assert await host.create(name="old") != id_
    with pytest.raises(Conflict):
        await host.engine.containers.rename(id_, "old")


async def test_limits_and_policy_of_a_running_one_can_be_changed(host: EngineHost) -> None:
    id_ = await host.run()
    wish = ContainerUpdate(memory=64 << 20, restart_policy=RestartPolicy(name="always"))
    await host.engine.containers.update(id_, wish)
    shown = (await host.engine.containers.inspect(id_)).host_config
    assert (shown.memory, shown.restart_policy.name) == (64 << 20, "always")
    stats = await anext(await host.engine.containers.stats(id_, stream=False, one_shot=True))
    assert stats.memory_stats.limit == 64 << 20


async def test_prune_takes_what_does_not_run(host: EngineHost) -> None:
    running, idle = await host.run(), await host.create()
    pruned = await host.engine.containers.prune()
    assert pruned.containers_deleted == [idle]
    assert [row.id for row in await host.engine.containers.list(all_containers=True)] == [running]
