"""M11: what one container does made calls about others fail: long command lines `docker top`, a
tree too deep for a path `docker system df`, a uid of 5,000 digits its own probes and execs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.engine.containers.users import resolve_user
from skep.kit.errors import InvalidArgument
from skep.kit.files import disk_usage_bytes
from skep.kit.process import run
from skep.model.container import ExecCreate, ExecStart, Health
from skep.model.service import HealthConfig
from skep.model.volume import VolumeUsage
from skep.testing.engine_host import EngineHost, engine_host

MS = 1_000_000
LONG_COMMAND_LINES = """
long=$(printf '%0100000d' 0)
for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sh -c 'sleep 600; :' $long & done
echo started
wait
"""
DIGITS = "9" * 5000


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[EngineHost]:
    async with engine_host(tmp_path) as host:
        yield host
    assert host.leftovers() == []


# Long command lines


async def commands(host: EngineHost, container_id: str, words: str = "") -> list[str]:
    table = await host.engine.containers.top(container_id, words)
    return [row[-1] for row in table.processes]


async def test_top_of_another_container_looks_at_its_own_processes(host: EngineHost) -> None:
    loud = await host.shell(LONG_COMMAND_LINES)
    await host.until_log(loud, "started\n")
    quiet = await host.run()
    async with asyncio.timeout(5):
        while (await commands(host, quiet)) == ["/usr/sbin/runc init"]:
            pass  # it was started, and is not yet what it will be
    assert await commands(host, quiet) == ["sleep 600"]


async def test_top_of_the_container_itself_and_with_what_ps_takes_no_pids_for(
    host: EngineHost,
) -> None:
    loud = await host.shell(LONG_COMMAND_LINES)
    await host.until_log(loud, "started\n")
    async with asyncio.timeout(20):
        for words in ("", "aux", "axf", "-eo pid,args"):
            while sum(len(line) > 100_000 for line in await commands(host, loud, words)) < 12:
                await asyncio.sleep(0.02)  # not all are what they will be


async def test_arguments_that_ps_refuses_are_the_callers_fault(host: EngineHost) -> None:
    id_ = await host.run()
    for words in ("--no-such-option", "-o comm", "-o pid\0"):
        with pytest.raises(InvalidArgument):
            await host.engine.containers.top(id_, words)


async def test_a_program_is_read_to_its_end_beyond_what_is_kept() -> None:
    script = "head -c 3000000 /dev/zero; echo end"
    code, output = await run(["/bin/sh", "-c", script], {"PATH": "/bin:/usr/bin"}, 10)
    assert (code, len(output)) == (0, 1 << 20)


# Deep trees


def make_deep(folder: Path, depth: int, name: str = "d" * 100) -> None:
    """A chain of folders that no path leads down to."""
    at = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=at)
        deeper = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = deeper
    os.close(at)


async def test_usage_of_all_volumes_is_told_though_one_is_deep(host: EngineHost) -> None:
    await host.run("true", host={"binds": ["deep:/data", "other:/other"]})
    make_deep(host.engine.volumes.folder("deep"), 60)
    (host.engine.volumes.folder("other") / "file").write_bytes(b"12345")
    sizes = {
        volume.name: volume.usage_data.size
        for volume in await host.engine.volumes.disk_usage()
        if isinstance(volume.usage_data, VolumeUsage)
    }
    assert sizes == {"deep": 0, "other": 5}


def test_usage_counts_files_below_the_folder_and_follows_no_link(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside / "a" / "b", outside):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"123")
    (inside / "top").write_bytes(b"12345")
    (inside / "link").symlink_to(outside)
    (inside / "file").symlink_to(outside / "file")
    linked = sum((inside / name).lstat().st_size for name in ("link", "file"))
    assert disk_usage_bytes(inside) == 8 + linked
    assert disk_usage_bytes(tmp_path / "none") == 0


def test_usage_leaves_no_descriptor_open(tmp_path: Path) -> None:
    make_deep(tmp_path, 300, "d")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    disk_usage_bytes(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


# Long numbers


@pytest.mark.parametrize("number", [DIGITS, "٣", "1_0", " 1", "-1", "2147483648"])
def test_accounts_and_groups_with_numbers_that_are_none_are_not_there(number: str) -> None:
    passwd = f"odd:x:{number}:0::/odd:\nodder:x:0:{number}::/odd:\nroot:x:0:0::/root:\n"
    group = f"odd:x:{number}:root\nfine:x:7:root\n"
    assert resolve_user("root", passwd, group).user.additional_gids == (0, 7)
    for name in ("odd", "odder"):
        with pytest.raises(InvalidArgument):
            resolve_user(name, passwd, group)


def test_a_user_of_5000_digits_is_refused_in_words() -> None:
    with pytest.raises(InvalidArgument, match="must be in range"):
        resolve_user(DIGITS, "root:x:0:0::/root:\n", "")


async def test_execs_and_probes_go_on_though_the_container_wrote_a_long_number(
    host: EngineHost,
) -> None:
    health = HealthConfig(test=["CMD", "test", "-e", "/well"], interval=50 * MS, retries=2)
    id_ = await host.shell(
        f"touch /well; mkdir -p /etc; echo 'a:x:{DIGITS}:0::/:' > /etc/passwd; sleep 600",
        healthcheck=health,
    )
    await until_health(host, id_, "healthy")
    exec_id = await host.engine.containers.exec_create(id_, ExecCreate(cmd=["rm", "/well"]))
    await host.engine.containers.exec_start(exec_id, ExecStart(detach=True))
    await until_health(host, id_, "unhealthy")


@pytest.mark.logs_errors("its health cannot be asked for")
async def test_a_probe_that_fails_in_an_unforeseen_way_is_said_and_counts(
    host: EngineHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("unforeseen")

    health = HealthConfig(test=["CMD", "true"], interval=50 * MS, retries=2)
    id_ = await host.run(healthcheck=health)
    await until_health(host, id_, "healthy")
    monkeypatch.setattr("skep.engine.containers.execs.resolve_user", broken)
    await until_health(host, id_, "unhealthy")
    assert "unforeseen" in caplog.text


async def until_health(host: EngineHost, container_id: str, status: str) -> None:
    async with asyncio.timeout(10):
        while True:
            health = (await host.engine.containers.inspect(container_id)).state.health
            if isinstance(health, Health) and health.status == status:
                return
            await asyncio.sleep(0.02)
