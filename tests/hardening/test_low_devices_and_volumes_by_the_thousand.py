"""Of the low findings: `--device /` walked the whole host and ended in an internal error, as
`--device /proc` did; a list of volumes asked each container about each volume; the folder of the
cgroup hierarchies could be written in by a container."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from skep.engine.containers.container import Container, Registry
from skep.engine.containers.devices import mapped
from skep.engine.containers.record import MountRecord, Record
from skep.kit.clock import utc_now
from skep.kit.errors import InvalidArgument
from skep.model.container import ContainerConfig, DeviceMapping, HostConfig
from skep.testing.engine_host import EngineHost, engine_host


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[EngineHost]:
    async with engine_host(tmp_path) as host:
        yield host
    assert host.leftovers() == []


@pytest.mark.parametrize("path", ["/", "/proc", "/sys"])
def test_a_folder_that_is_none_of_devices_is_refused(path: str) -> None:
    began = time.monotonic()
    with pytest.raises(InvalidArgument, match="name the devices, or their own folder"):
        mapped(DeviceMapping(path_on_host=path))
    assert time.monotonic() - began < 1


def test_a_folder_of_devices_is_taken_and_links_in_it_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to("/dev/null")
    with pytest.raises(InvalidArgument, match="not a device node"):
        mapped(DeviceMapping(path_on_host=str(tmp_path)))
    linked = DeviceMapping(path_on_host=f"{tmp_path}/link", path_in_container="/dev/x")
    ((device, _),) = mapped(linked)
    assert (device.path, device.major, device.minor) == ("/dev/x", 1, 3)
    assert {device.path for device, _ in mapped(DeviceMapping(path_on_host="/dev"))} >= {
        "/dev/null", "/dev/tty",
    }  # fmt: skip


def test_who_uses_a_volume_is_known_without_asking_every_container() -> None:
    registry = Registry()
    containers = [_user_of(f"{number:064x}", f"v{number % 2}") for number in range(4)]
    for container in containers:
        registry.add(container)
    assert sorted(registry.users_of("v1")) == [containers[1].id, containers[3].id]
    registry.discard(containers[1])
    assert list(registry.users_of("v1")) == [containers[3].id]
    registry.discard(containers[3])
    assert list(registry.users_of("v1")) == []


def _user_of(id_: str, volume: str) -> Container:
    mount = MountRecord(type="volume", destination="/data", source=volume)
    return Container(
        Record(
            id=id_, name=id_[-8:], created_at=utc_now(), image_id="", argv=("x",),
            config=ContainerConfig(), host_config=HostConfig(), mounts=(mount,),
        )
    )  # fmt: skip


async def test_a_thousand_volumes_are_listed_at_once(host: EngineHost) -> None:
    """3,000 volumes beside 1,000 containers took more than a second of the event loop."""
    volumes, registry = host.engine.volumes, host.engine._registry
    record = SimpleNamespace(name="", labels={}, options={}, created_at=utc_now())
    for number in range(3000):
        name = f"many-{number}"
        volumes._records[name] = SimpleNamespace(**{**vars(record), "name": name})
    users = [_user_of(f"{number:064x}", f"many-{number}") for number in range(1000)]
    for user in users:
        registry.add(user)
    began = time.process_time()
    rows = (await volumes.list(dangling=True)).volumes
    spent_s = time.process_time() - began
    volumes._records.clear()
    for user in users:
        registry.discard(user)
    assert len(rows) == 2000
    assert spent_s < 0.3


async def test_nothing_below_the_cgroups_can_be_written(host: EngineHost) -> None:
    script = (
        "touch /sys/fs/cgroup/x && echo written; mkdir /sys/fs/cgroup/y && echo made;"
        " for f in /sys/fs/cgroup/*; do touch $f/x && echo written in $f; done;"
        " test -d /sys/fs/cgroup/memory -o -f /sys/fs/cgroup/cgroup.controllers && echo there"
    )
    said = (await host.output(script)).splitlines()
    assert [line for line in said if "Read-only file system" not in line] == ["there"]
