"""H3: a container whose record could not be read was removed with all its data at the next start,
without a word. Two ways led there: a disk that was nearly full cut the record short, and an image's
health check was taken as it came and refused when it was read again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.kit.errors import Conflict, InvalidArgument
from skep.model.image import ImageConfig, ImageHealthcheck
from skep.model.service import HealthConfig
from skep.testing.disks import small_disk
from skep.testing.engine_host import EngineHost, engine_host

_KEEPS_DATA = "echo precious >/root/data; sleep 600"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[EngineHost]:
    async with engine_host(tmp_path) as host:
        yield host
    assert host.leftovers() == []


def _folder(host: EngineHost, id_: str) -> Path:
    return host.settings.data_root / "containers" / id_


async def _until_data(host: EngineHost, id_: str) -> Path:
    data = _folder(host, id_) / "diff/root/data"
    async with asyncio.timeout(10):
        while not data.exists() or not data.read_text():
            await asyncio.sleep(0.02)
    return data


async def test_a_disk_with_one_page_left_costs_no_container(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        async with engine_host(tmp_path, data_root=tmp_path / "disk/data") as host:
            id_ = await host.shell(_KEEPS_DATA, env=["LONG=" + "x" * 5000])
            data = await _until_data(host, id_)
            pid = (await host.engine.containers.inspect(id_)).state.pid
            disk.fill(pages_left=1)
            os.kill(pid, 9)
            await asyncio.wait_for(host.engine.containers.wait(id_), 10)
            disk.free()
            engine = await host.restart()
            assert data.read_text() == "precious\n"
            assert (await engine.containers.inspect(id_)).state.status == "exited"


async def test_an_images_senseless_health_check_costs_no_container(
    host: EngineHost, caplog: pytest.LogCaptureFixture
) -> None:
    probe = ImageHealthcheck(test=("CMD", "true"), interval=-1, timeout=5, retries=4)
    config = ImageConfig(env=("PATH=/bin",), healthcheck=probe)
    await host.load_image("odd:1", config=config)
    id_ = await host.shell(_KEEPS_DATA, image="odd:1")
    data = await _until_data(host, id_)
    engine = await host.restart()
    assert data.read_text() == "precious\n"
    taken = (await engine.containers.inspect(id_)).config.healthcheck
    assert taken == HealthConfig(test=["CMD", "true"], retries=4)
    assert "its Healthcheck's Interval, Timeout make no sense" in caplog.text


async def test_a_record_that_could_not_be_read_again_fails_its_create(host: EngineHost) -> None:
    with pytest.raises(InvalidArgument, match="record could not be kept"):
        await host.create(healthcheck=HealthConfig(test=["CMD", "true"], interval=-1))
    assert list((host.settings.data_root / "containers").iterdir()) == []


@pytest.mark.parametrize("text", [b"", b'{"id":"', b"\xff\xfe", b"[" * 100_000, b"{}"])
async def test_what_cannot_be_read_is_shown_dead_and_stays_as_it_is(
    host: EngineHost, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = await host.shell(_KEEPS_DATA, name="damaged")
    sound = await host.shell(_KEEPS_DATA, name="sound")
    data = await _until_data(host, damaged)
    await host.engine.containers.stop(damaged, timeout_s=0)
    record = _folder(host, damaged) / "record.json"
    await host.engine.stop()
    record.write_bytes(text)
    engine = await host.start()
    assert (await host.state(damaged), await host.state(sound)) == ("dead", "running")
    assert f"container {damaged[:12]} is dead: its record {record} cannot be read" in caplog.text
    for call in (
        engine.containers.start(damaged),
        engine.containers.rename(damaged, "other"),
    ):
        with pytest.raises(Conflict, match="cannot be read"):
            await call
    assert (await engine.containers.prune()).containers_deleted == []
    engine = await host.restart()
    assert (record.read_bytes(), data.read_text()) == (text, "precious\n")
    await engine.containers.remove(damaged)
    assert not _folder(host, damaged).exists()


async def test_a_newer_skeps_record_is_not_understood_but_its_process_runs_on(
    host: EngineHost,
) -> None:
    """As after a downgrade: a field of the configuration is unknown."""
    id_ = await host.shell(_KEEPS_DATA, name="newer", host={"binds": ["kept:/data"]})
    await _until_data(host, id_)
    pid = (await host.engine.containers.inspect(id_)).state.pid
    record = _folder(host, id_) / "record.json"
    await host.engine.stop()
    text = record.read_text()
    record.write_text(text.replace('"config":{', '"config":{"Novelty":1,', 1))
    engine = await host.start()
    seen = await engine.containers.inspect("newer")
    assert (seen.id, seen.state.status, seen.config.cmd) == (id_, "dead", ["sh", "-c", _KEEPS_DATA])
    with pytest.raises(Conflict, match="volume is in use"):
        await engine.volumes.remove("kept")
    os.kill(pid, 0)
    await engine.stop()
    record.write_text(text)
    engine = await host.start()
    now = (await engine.containers.inspect("newer")).state
    assert (now.status, now.pid) == ("running", pid)


async def test_what_runs_and_cannot_be_read_ends_when_a_person_removes_it(
    host: EngineHost,
) -> None:
    id_ = await host.shell(_KEEPS_DATA)
    pid = (await host.engine.containers.inspect(id_)).state.pid
    await host.engine.stop()
    (_folder(host, id_) / "record.json").write_text("")
    engine = await host.start()
    await engine.containers.remove(id_, force=True)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_folder_that_is_no_containers_is_let_be(host: EngineHost) -> None:
    folder = host.settings.data_root / "containers"
    strangers = [folder / "lost+found/#123", folder / f"{'ab' * 32}.old/record.json"]
    for stranger in strangers:
        stranger.parent.mkdir()
        stranger.write_text("somebody's")
    (folder / ".nfs0001").write_text("somebody's")
    await host.restart()
    assert [path.exists() for path in (*strangers, folder / ".nfs0001")] == [True] * 3
    for path in (*strangers, folder / ".nfs0001"):
        path.unlink()
    for stranger in strangers:
        stranger.parent.rmdir()


async def test_a_container_that_lost_its_record_keeps_its_files(host: EngineHost) -> None:
    """A create that was cut short has made no files yet (see tests/engine/test_killed_engine)."""
    id_ = await host.shell(_KEEPS_DATA)
    data = await _until_data(host, id_)
    await host.engine.stop()
    (_folder(host, id_) / "record.json").unlink()
    await host.start()
    assert (await host.state(id_), data.read_text()) == ("dead", "precious\n")
