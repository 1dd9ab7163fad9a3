"""What clients of older versions of the API mean, and what they are shown."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from msgspec.structs import replace

from skep.api import older
from skep.api.versions import NEWEST, OLDEST, ApiVersion
from skep.engine import ImageQuery, WaitCondition
from skep.engine.queries import EVERY_IMAGE
from skep.kit.clock import utc_now
from skep.kit.labels import ANY_LABELS, LabelQuery
from skep.model.base import encode_json
from skep.model.container import (
    ContainerCreate,
    ContainerCreated,
    ContainerInspect,
    ContainerUpdate,
    EndpointSettings,
    HostConfig,
    NetworkSettings,
    StateInspect,
    WaitResult,
)
from skep.model.image import ImageInspect, ImageSummary
from skep.model.service import (
    BindOptions,
    ContainerSpec,
    GlobalJob,
    HealthConfig,
    Limit,
    Mount,
    Placement,
    ResourceRequirements,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    TmpfsOptions,
)
from skep.model.system import DiskUsage, SystemInfo
from skep.model.volume import VolumesPruned
from skep.testing.node import StandInNode
from skep.testing.stand_in import instead_of

CONTAINER = ContainerCreate(
    image="app:1",
    healthcheck=HealthConfig(interval=5, start_interval=7),
    host_config=HostConfig(
        auto_remove=True,
        annotations={"a": "b"},
        console_size=[24, 80],
        mounts=[Mount(type="bind", bind_options=BindOptions(non_recursive=True)), Mount()],
        ipc_mode="private",
        cgroupns_mode="private",
    ),
)
SERVICE = ServiceSpec(
    name="web",
    mode=ServiceMode(global_job=GlobalJob()),
    task_template=TaskSpec(
        container_spec=ContainerSpec(
            image="app:1",
            sysctls={"a": "b"},
            capability_add=["NET_ADMIN"],
            oom_score_adj=5,
            healthcheck=HealthConfig(start_interval=7),
            mounts=[Mount(type="tmpfs", tmpfs_options=TmpfsOptions(options=[["noexec"]]))],
        ),
        placement=Placement(max_replicas=2),
        resources=ResourceRequirements(limits=Limit(memory_bytes=9, pids=7)),
    ),
)


def test_the_newest_version_changes_nothing() -> None:
    assert older.container(CONTAINER, NEWEST, 1) == CONTAINER
    assert older.service(SERVICE, NEWEST) == SERVICE
    nothing_said = ContainerCreate(image="app:1")
    assert older.container(nothing_said, NEWEST, 1) == nothing_said


def test_what_a_version_did_not_have_is_left_out_of_its_wishes() -> None:
    at_1_39 = older.container(CONTAINER, (1, 39), 2)
    host = at_1_39.host_config
    assert (host.auto_remove, host.annotations, host.console_size) == (True, {}, [0, 0])
    assert host.mounts == [Mount(type="bind", bind_options=BindOptions()), Mount()]
    assert at_1_39.healthcheck == HealthConfig(interval=5)
    assert older.container(CONTAINER, OLDEST, 2).host_config.auto_remove is False
    assert older.container_update(ContainerUpdate(pids_limit=7), (1, 39)) == ContainerUpdate()


def test_so_it_is_for_services() -> None:
    at_1_40 = older.service(SERVICE, (1, 40))
    process = at_1_40.task_template.container_spec
    assert process is not None
    assert at_1_40.mode == ServiceMode()
    assert (process.sysctls, process.capability_add, process.oom_score_adj) == ({"a": "b"}, [], 0)
    assert process.mounts == [Mount(type="tmpfs", tmpfs_options=TmpfsOptions())]
    assert at_1_40.task_template.resources == ResourceRequirements(limits=Limit(memory_bytes=9))
    assert at_1_40.task_template.placement == Placement(max_replicas=2)
    assert older.service(SERVICE, (1, 39)).task_template.placement == Placement()
    assert older.service(ServiceSpec(name="web"), OLDEST) == ServiceSpec(name="web")


@pytest.mark.parametrize(
    ("version", "cgroups", "ipc", "cgroup_namespace"),
    [
        ((1, 39), 1, "shareable", "host"),
        ((1, 40), 1, "", "host"),
        ((1, 40), 2, "", ""),
        ((1, 41), 1, "", ""),
    ],
)
def test_who_says_nothing_gets_what_the_version_had(
    version: ApiVersion, cgroups: int, ipc: str, cgroup_namespace: str
) -> None:
    host = older.container(ContainerCreate(image="app:1"), version, cgroups).host_config
    assert (host.ipc_mode, host.cgroupns_mode) == (ipc, cgroup_namespace)
    said = older.container(CONTAINER, version, cgroups).host_config
    assert (said.ipc_mode, said.cgroupns_mode) == ("private", "private")


def test_the_size_of_an_image_stood_there_twice() -> None:
    row = ImageSummary(id="sha256:1", size=7)
    assert older.image_rows([row], (1, 44)) == [row]
    (old,) = older.image_rows([row], (1, 43))
    assert (old["Size"], old["VirtualSize"], old["Id"]) == (7, 7, "sha256:1")
    usage = DiskUsage(images=[row])
    assert older.disk_usage(usage, (1, 43))["Images"][0]["VirtualSize"] == 7
    assert "BuilderSize" not in older.disk_usage(usage, (1, 43))
    assert older.disk_usage(usage, (1, 41))["BuilderSize"] == 0


def test_an_image_told_of_its_container() -> None:
    found = ImageInspect(id="sha256:1", size=7)
    assert older.image(found, (1, 45)) == found
    shown = older.image(found, (1, 44))
    assert (shown["Container"], shown["Id"]) == ("", "sha256:1")
    assert b'"Cmd"' in encode_json(shown["ContainerConfig"])
    assert "VirtualSize" not in shown
    assert older.image(found, (1, 43))["VirtualSize"] == 7


def _container(**networks: EndpointSettings) -> ContainerInspect:
    return ContainerInspect(
        id="c" * 64,
        created=utc_now(),
        path="sh",
        args=[],
        state=StateInspect(status="running", running=True, paused=False, restarting=False),
        image="sha256:1",
        network_settings=NetworkSettings(networks=networks),
    )


def test_the_short_id_was_an_alias() -> None:
    found = _container(bridge=EndpointSettings(), front=EndpointSettings(aliases=["web"]))
    assert older.container_inspect(found, (1, 45)) == found
    networks = older.container_inspect(found, (1, 44)).network_settings.networks
    assert networks["bridge"].aliases is None
    assert networks["front"].aliases == ["web", "c" * 12]


def test_a_security_option_was_a_name() -> None:
    found = SystemInfo(id="1", security_options=["name=seccomp,profile=builtin", "name=apparmor"])
    assert older.info(found, (1, 25)) == found
    assert older.info(found, (1, 24))["SecurityOptions"] == ["seccomp", "apparmor"]


@pytest.mark.parametrize(
    ("path", "method", "asked"),
    [
        ("/v1.40/images/json?filter=app", "GET", ImageQuery(references={"app"})),
        ("/v1.41/images/json?filter=app", "GET", ImageQuery()),
        ("/v1.41/volumes/prune", "POST", True),
        ("/v1.42/volumes/prune", "POST", False),
    ],
)
async def test_filters_had_other_defaults(
    http: aiohttp.ClientSession, node: StandInNode, path: str, method: str, asked: object
) -> None:
    heard: list[object] = []

    @instead_of(node.engine.images.summaries)
    async def summaries(query: ImageQuery = EVERY_IMAGE, **options: object) -> list[ImageSummary]:
        heard.append(query)
        return []

    @instead_of(node.engine.volumes.prune)
    async def prune(labels: LabelQuery = ANY_LABELS, *, named_too: bool = False) -> VolumesPruned:
        heard.append(named_too)
        return VolumesPruned()

    assert (await http.request(method, path)).status == 200
    assert heard == [asked]


async def test_who_waits_got_headers_and_result_at_once(
    http: aiohttp.ClientSession, node: StandInNode
) -> None:
    ends = asyncio.Event()
    conditions = []

    @instead_of(node.engine.containers.wait)
    async def wait(name: str, condition: WaitCondition = "") -> WaitResult:
        conditions.append(condition)
        await ends.wait()
        return WaitResult(status_code=3)

    instead_of(node.engine.containers.resolve)(lambda name: name)
    path = "/containers/c/wait?condition=removed"
    newer = await http.post(f"/v1.30{path}")  # answered, though the container has not ended
    waiting = asyncio.create_task(http.post(f"/v1.29{path}"))
    while len(conditions) < 2:
        await asyncio.sleep(0.01)
    assert not waiting.done()
    ends.set()
    async with asyncio.timeout(20):
        for answer in (newer, await waiting):
            assert await answer.json() == {"StatusCode": 3}
    assert conditions == ["removed", ""]


async def test_a_container_s_wishes_are_read_by_version(
    http: aiohttp.ClientSession, node: StandInNode
) -> None:
    heard = []

    @instead_of(node.engine.containers.create)
    async def create(body: ContainerCreate, name: str = "") -> ContainerCreated:
        heard.append((body, name))
        return ContainerCreated(id="c")

    body = {"Image": "app:1", "HostConfig": {"AutoRemove": True}}
    for version in ("1.24", "1.50"):
        answer = await http.post(f"/v{version}/containers/create?name=web", json=body)
        assert answer.status == 201
    (oldest, _), (newest, _) = heard
    assert not oldest.host_config.auto_remove
    assert newest == replace(
        ContainerCreate(image="app:1"), host_config=HostConfig(auto_remove=True)
    )
