"""Binds, volumes and tmpfs as they look from inside, and what cannot be mounted."""

from __future__ import annotations

from pathlib import Path

import pytest

from skep.engine.containers.mounts import wanted_mounts
from skep.kit.errors import Conflict, InvalidArgument, NotFound, Unimplemented
from skep.model.container import ContainerConfig, HostConfig
from skep.model.image import ImageConfig
from skep.model.service import Mount, TmpfsOptions, VolumeOptions
from skep.model.volume import VolumeCreate
from skep.testing.engine_host import EngineHost


async def test_a_bind_shows_the_hosts_folder_and_ro_protects_it(
    host: EngineHost, tmp_path: Path
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/file").write_text("mine\n")
    bind = f"{tmp_path}/shared:/data"
    assert await host.output("cat /data/file", host={"binds": [bind]}) == "mine\n"
    refused = await host.output("touch /data/x || echo no", host={"binds": [f"{bind}:ro"]})
    assert refused.endswith("no\n")


async def test_v_makes_a_missing_source_and_mount_does_not(
    host: EngineHost, tmp_path: Path
) -> None:
    await host.output("touch /data/x", host={"binds": [f"{tmp_path}/new/deep:/data"]})
    assert (tmp_path / "new/deep/x").exists()
    missing = Mount(type="bind", source=f"{tmp_path}/none", target="/data")
    with pytest.raises(InvalidArgument) as refused:
        await host.create(host={"mounts": [missing]})
    assert str(refused.value) == (
        f'invalid mount config for type "bind": bind source path does not exist: {tmp_path}/none'
    )


async def test_a_named_volume_outlives_its_containers(host: EngineHost) -> None:
    await host.output("echo kept > /data/file", host={"binds": ["store:/data"]})
    assert await host.output("cat /data/file", host={"binds": ["store:/data"]}) == "kept\n"
    user = await host.create(host={"binds": ["store:/data"]})
    with pytest.raises(Conflict) as refused:
        await host.engine.volumes.remove("store")
    assert str(refused.value) == f"remove store: volume is in use - [{user}]"
    await host.engine.containers.remove(user)
    await host.engine.volumes.remove("store")
    with pytest.raises(NotFound, match="get store: no such volume"):
        await host.engine.volumes.inspect("store")


async def test_an_empty_volume_takes_what_the_image_has_there(host: EngineHost) -> None:
    await host.load_image("full:1", files={"seed/file": b"from the image\n"})
    words = {"image": "full:1", "host": {"binds": ["seeded:/seed"]}}
    assert await host.output("cat /seed/file; echo changed > /seed/file", **words) == (
        "from the image\n"
    )
    assert await host.output("cat /seed/file", **words) == "changed\n"
    nocopy = {"image": "full:1", "host": {"binds": ["bare:/seed:nocopy"]}}
    assert await host.output("ls /seed", **nocopy) == ""


async def test_an_images_volume_is_anonymous_and_goes_with_rm_v(host: EngineHost) -> None:
    await host.load_image("vol:1", config=ImageConfig(env=("PATH=/bin",), volumes={"/data": {}}))
    id_ = await host.create(image="vol:1")
    names = [volume.name for volume in (await host.engine.volumes.list()).volumes]
    assert len(names) == 1
    await host.engine.containers.remove(id_, volumes=True)
    assert (await host.engine.volumes.list()).volumes == []


async def test_a_tmpfs_has_its_size_and_mode(host: EngineHost) -> None:
    mount = Mount(
        type="tmpfs", target="/fast", tmpfs_options=TmpfsOptions(size_bytes=1 << 20, mode=0o700)
    )
    words = {"mounts": [mount], "tmpfs": {"/slow": "size=2m,exec"}}
    shown = await host.output("mount | grep -E '/fast|/slow'; stat -c %a /fast", host=words)
    assert "size=1024k" in shown
    assert "size=2048k" in shown
    assert shown.endswith("700\n")


async def test_a_volume_with_mount_options_is_mounted_while_it_is_used(host: EngineHost) -> None:
    opts = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
    await host.engine.volumes.create(VolumeCreate(name="ram", driver_opts=opts))
    shown = await host.output("mount | grep /data", host={"binds": ["ram:/data"]})
    assert "size=1024k" in shown
    assert not Path((await host.engine.volumes.inspect("ram")).mountpoint).is_mount()


async def test_a_read_only_root_still_has_its_writable_mounts(host: EngineHost) -> None:
    script = "touch /x || echo no; touch /tmp/x && touch /data/x && echo yes"
    words = {"readonly_rootfs": True, "tmpfs": {"/tmp": ""}, "binds": ["v1:/data"]}
    assert (await host.output(script, host=words)).endswith("no\nyes\n")


async def test_volumes_prune_takes_unused_anonymous_ones(host: EngineHost) -> None:
    anonymous = await host.engine.volumes.create(VolumeCreate())
    await host.engine.volumes.create(VolumeCreate(name="named"))
    assert (await host.engine.volumes.prune()).volumes_deleted == [anonymous.name]
    assert (await host.engine.volumes.prune(named_too=True)).volumes_deleted == ["named"]


REFUSED = [
    (HostConfig(binds=["/a"]), "invalid volume specification: '/a'"),
    (HostConfig(binds=["/a:b"]), "mount path must be absolute"),
    (HostConfig(binds=["/a:/"]), "destination can't be '/'"),
    (HostConfig(binds=["/a:/b:xx"]), "invalid mode: xx"),
    (HostConfig(binds=["v:/b"]), "includes invalid characters for a local volume name"),
    (HostConfig(binds=["/tmp:/b", "/tmp:/b/"]), "Duplicate mount point: /b"),
    (HostConfig(mounts=[Mount(type="bind", target="/b")]), "field Source must not be empty"),
    (HostConfig(mounts=[Mount(type="tmpfs", source="x", target="/b")]),
     "field Source must not be specified"),
    (HostConfig(mounts=[Mount(type="tmpfs", target="/b", volume_options=VolumeOptions())]),
     "field VolumeOptions must not be specified"),
    (HostConfig(mounts=[Mount(target="")]), "field Target must not be empty"),
]  # fmt: skip


@pytest.mark.parametrize(("wish", "words"), REFUSED)
def test_a_mount_that_makes_no_sense_is_refused(wish: HostConfig, words: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        wanted_mounts(ContainerConfig(), wish, lambda: "new")
    assert words in str(refused.value)


def test_a_mount_of_a_kind_that_we_lack_is_refused_by_name() -> None:
    wish = HostConfig(mounts=[Mount(type="image", source="x", target="/b")])
    with pytest.raises(Unimplemented, match='mounts of type "image"'):
        wanted_mounts(ContainerConfig(), wish, lambda: "new")


async def test_a_container_that_writes_nothing_has_an_empty_layer(host: EngineHost) -> None:
    """What is mounted over in every container stands in one layer below all images."""
    container_id = await host.shell("cat /etc/hosts /etc/resolv.conf >/dev/null; exec sleep 100")
    layer = host.engine.settings.data_root / "containers" / container_id / "diff"
    assert list(layer.iterdir()) == []
