"""M14: one bad file of many kept the daemon from starting, and it did not say which. The file of
each kind that is not understood is set aside or left alone, and said in the log by its name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skep.kit.errors import Internal, NotFound
from skep.model.network import NetworkCreate
from skep.model.volume import VolumeCreate
from skep.testing.engine_host import BUSYBOX, EngineHost, engine_host


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[EngineHost]:
    async with engine_host(tmp_path) as host:
        yield host
    assert host.leftovers() == []


async def test_of_volumes(host: EngineHost, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("bad", "lost", "good"):
        await host.engine.volumes.create(VolumeCreate(name=name))
        (host.engine.volumes.folder(name) / "data").write_text("precious")
    root = host.settings.data_root / "volumes"
    await host.engine.stop()
    (root / "bad/volume.json").write_text("")
    (root / "lost/volume.json").unlink()
    (root / ".nfs0001").write_text("")
    (root / "lost+found").mkdir()
    (root / "xx").mkdir()  # a create that was cut short
    engine = await host.start()
    assert [volume.name for volume in (await engine.volumes.list()).volumes] == ["good"]
    for name in ("bad", "lost"):
        assert f"volume {name}: its record {root}/{name}/volume.json cannot be read" in caplog.text
        assert (root / name / "_data/data").read_text() == "precious"
        with pytest.raises(Internal, match="cannot be read"):
            await engine.volumes.remove(name, force=True)
        with pytest.raises(Internal, match="cannot be read"):
            await host.run(host={"binds": [f"{name}:/data"]})
    assert not (root / "xx").exists()
    assert await host.output("cat /data/data", host={"binds": ["good:/data"]}) == "precious"


async def test_a_volume_whose_removal_was_cut_short_goes(host: EngineHost) -> None:
    gone = host.settings.data_root / "volumes/.gone.0123456789abcdef"
    (gone / "_data").mkdir(parents=True)
    (gone / "_data/file").write_text("")
    await host.restart()
    assert not gone.exists()


@pytest.mark.parametrize("text", ["", '{"id":"x"}', None])
async def test_of_networks(
    host: EngineHost, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    bad = await host.engine.networks.create(NetworkCreate(name="bad"))
    await host.engine.networks.create(NetworkCreate(name="good"))
    path = host.settings.data_root / "networks" / f"{bad}.json"
    await host.engine.stop()
    path.write_text(path.read_text().replace("/16", "/1x") if text is None else text)
    engine = await host.start()
    assert {row.name for row in await engine.networks.list()} == {"bridge", "good", "host", "none"}
    assert path.with_name(f"{path.name}.unreadable").exists()
    assert f"{path} cannot be read" in caplog.text
    assert await host.output("echo runs", host={"network_mode": "good"}) == "runs\n"


@pytest.mark.parametrize("text", ["", "[]", "\\ud800", '{"a:1": 1, "b:1": {"image_id": "x"}}'])
async def test_of_the_table_of_names(
    host: EngineHost, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (image,) = await host.engine.images.summaries()
    path = host.settings.data_root / "images/names.json"
    await host.engine.stop()
    path.write_text(text)
    engine = await host.start()
    assert f"{path} cannot be read" in caplog.text
    assert path.with_name("names.json.unreadable").read_text() == text
    assert [row.id for row in await engine.images.summaries()] == [image.id]
    await engine.images.tag(image.id, BUSYBOX)
    await host.restart()
    assert await host.output("echo runs") == "runs\n"


async def test_one_bad_name_costs_the_others_nothing(host: EngineHost) -> None:
    path = host.settings.data_root / "images/names.json"
    await host.engine.stop()
    path.write_text(path.read_text().replace("{", '{"UPPER:1":{"image_id":"x"},', 1))
    await host.start()
    assert await host.output("echo runs") == "runs\n"
    assert [row.repo_tags for row in await host.engine.images.summaries()] == [(BUSYBOX,)]


@pytest.mark.parametrize("name", ["image.json", "config.json"])
@pytest.mark.parametrize("text", [b"", b"{}", b"\xff"])
async def test_of_images(
    host: EngineHost, name: str, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The layers of one that cannot be read stay: they may be another's as well."""
    other = await host.load_image("other:1", files={"other": b"1"})
    folder = host.settings.data_root / "images/images" / other.removeprefix("sha256:")
    layers = {path.name for path in (host.settings.data_root / "images/layers").iterdir()}
    await host.engine.stop()
    (folder / name).write_bytes(text)
    (folder.parent / "lost+found").mkdir()
    engine = await host.start()
    assert [row.repo_tags for row in await engine.images.summaries()] == [(BUSYBOX,)]
    with pytest.raises(Internal, match=f"image {other} cannot be read"):
        await host.run(image="other:1")
    assert f"image {other} cannot be read" in caplog.text
    await engine.images.prune(tagged_too=True)
    assert layers == {path.name for path in (host.settings.data_root / "images/layers").iterdir()}
    await host.load_image("other:1", files={"other": b"1"})
    assert await host.output("cat /other", image="other:1") == "1"


async def test_of_layers(host: EngineHost, caplog: pytest.LogCaptureFixture) -> None:
    root = host.settings.data_root / "images"
    await host.engine.stop()
    record = next((root / "layers").glob("*/layer.json"))
    record.write_text("")
    (root / "layers/stray").write_text("")
    (root / "l/stray").write_text("")
    engine = await host.start()
    await engine.images.disk_usage()
    assert f"{record} cannot be read" in caplog.text
    assert await host.output("echo runs") == "runs\n"
    with pytest.raises(NotFound):
        await engine.images.inspect("stray")
