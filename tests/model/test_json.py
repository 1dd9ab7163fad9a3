"""How request bodies are read: as Go's decoder reads them for dockerd, but nothing that the API
defines is dropped in silence."""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from skep.kit.errors import InvalidArgument, Unimplemented
from skep.model.base import Strict, decode_json, docker_name
from skep.model.container import ContainerConfig, ContainerCreate, HostConfig
from skep.model.network import NetworkCreate
from skep.model.service import ReplicatedService, ServiceMode, ServiceSpec
from skep.model.system import SwarmInit
from skep.model.volume import VolumeCreate


@pytest.mark.parametrize(
    ("field", "key"),
    [("node_id", "NodeID"), ("virtual_ips", "VirtualIPs"), ("nano_cpus", "NanoCPUs")],
)
def test_field_names_become_the_api_s_keys(field: str, key: str) -> None:
    assert docker_name(field) == key


def test_the_case_of_keys_does_not_matter() -> None:
    spec = decode_json(b'{"name": "web", "Mode": {"replicated": {"replicas": 3}}}', ServiceSpec)
    mode = ServiceMode(replicated=ReplicatedService(replicas=3))
    assert spec == ServiceSpec(name="web", mode=mode)


def test_the_case_of_a_user_s_own_keys_is_kept() -> None:
    assert decode_json(b'{"Labels": {"Name": "X"}}', ServiceSpec).labels == {"Name": "X"}


def test_null_means_not_given() -> None:
    body = b'{"Labels": null, "UpdateConfig": null, "TaskTemplate": {"Networks": null}}'
    assert decode_json(body, ServiceSpec) == ServiceSpec()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"{", "invalid JSON in request body"),
        (b'{"Replicas": 1}', "unknown field `Replicas`"),
        (b'{"TaskTemplate": {"ForceUpdate": "x"}}', r"TaskTemplate\.ForceUpdate"),
        (b'{"Mode": {"Replicated": {"Replicas": -1}}}', r"Mode\.Replicated\.Replicas"),
        (b"[" * 100_000, "request body"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        decode_json(body, ServiceSpec)


def test_a_null_in_a_map_is_the_zero_value_under_its_key() -> None:
    body = b'{"ExposedPorts": {"80/tcp": null}, "Volumes": {"/data": null}, "Labels": {"a": null}}'
    assert decode_json(body, ContainerConfig) == ContainerConfig(
        exposed_ports={"80/tcp": {}}, volumes={"/data": {}}, labels={"a": ""}
    )


def test_a_null_is_no_setting_of_a_network() -> None:
    body = b'{"NetworkingConfig": {"EndpointsConfig": {"front": null}}}'
    with pytest.raises(InvalidArgument, match=r"got `null` - at .*EndpointsConfig"):
        decode_json(body, ContainerCreate)


FOREIGN = {
    "name": "web",
    "TaskTemplate": {"ContainerSpec": {"Image": "a:1", "Imagine": [{}]}, "version": 7},
    "_query": {"version": 7},
}


def test_a_key_that_the_api_does_not_have_is_left_out_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "skep.model")
    spec = decode_json(json.dumps(FOREIGN).encode(), ServiceSpec, lenient=True)
    assert spec.name == "web"
    assert spec.task_template.container_spec is not None
    assert [record.getMessage() for record in caplog.records] == [
        "request body: left out what the Engine API does not have:"
        " TaskTemplate.ContainerSpec.Imagine, TaskTemplate.version, _query"
    ]


def test_what_is_said_of_nonsense_is_short(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "skep.model")
    body = {f"x\n{number}" + "x" * 100_000: 1 for number in range(50)}
    decode_json(json.dumps(body).encode(), ServiceSpec, lenient=True)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.endswith(" and 30 more")
    assert len(said) < 5_000
    assert said.isprintable()


UNSUPPORTED = [
    (ContainerCreate, {"HostConfig": {"Capabilities": ["NET_RAW"]}}, "HostConfig.Capabilities"),
    (ContainerCreate, {"HostConfig": {"diskquota": 1}}, "HostConfig.DiskQuota"),
    (
        ServiceSpec,
        {"TaskTemplate": {"Resources": {"SwapBytes": 1}}},
        "TaskTemplate.Resources.SwapBytes",
    ),
]


@pytest.mark.parametrize("lenient", [True, False])
@pytest.mark.parametrize(("kind", "body", "name"), UNSUPPORTED)
def test_a_key_of_the_api_that_is_not_done_is_refused_by_name(
    kind: type, body: dict[str, Any], name: str, lenient: bool
) -> None:
    with pytest.raises(Unimplemented, match=f"^{name} is not supported by skep$"):
        decode_json(json.dumps(body).encode(), kind, lenient=lenient)


@pytest.mark.parametrize(
    "body",
    [
        b'{"HostConfig": {"Capabilities": null, "DiskQuota": 0, "InitPath": ""}}',
        b'{"HostConfig": {"Capabilities": []}}',
    ],
)
def test_it_may_be_written_when_it_asks_for_nothing(body: bytes) -> None:
    assert decode_json(body, ContainerCreate, lenient=True) == ContainerCreate()
    swap = b'{"TaskTemplate": {"Resources": {"MemorySwappiness": -1}}}'
    assert decode_json(swap, ServiceSpec, lenient=True).task_template.resources is not None


BODIES = (ContainerCreate, ServiceSpec, NetworkCreate, VolumeCreate, SwarmInit)


def _structs(kind: inspect.Type, seen: set[type]) -> set[type]:
    """Every struct that can occur in a value of a type."""
    if isinstance(kind, inspect.StructType) and kind.cls not in seen:
        seen.add(kind.cls)
        for field in kind.fields:
            _structs(field.type, seen)
    for name in ("type", "item_type", "value_type"):
        if (part := getattr(kind, name, None)) is not None:
            _structs(part, seen)
    for part in getattr(kind, "types", ()):
        _structs(part, seen)
    return seen


@pytest.mark.parametrize("body", BODIES)
def test_what_users_write_is_strict_through_and_through(body: type) -> None:
    """Else a key in another case would be lost on the quick way."""
    assert all(issubclass(kind, Strict) for kind in _structs(inspect.type_info(body), set()))


@pytest.mark.parametrize("body", BODIES)
def test_the_quick_way_and_the_thorough_one_agree_on_null(body: type) -> None:
    """The thorough one leaves the field at its default."""
    for kind in _structs(inspect.type_info(body), set()):
        for field in msgspec.structs.fields(kind):
            options = inspect.type_info(field.type)
            takes_null = isinstance(options, inspect.UnionType) and options.includes_none
            assert not takes_null or field.default is None, (kind, field.name)


def test_the_quick_way_and_the_thorough_one_read_the_same() -> None:
    spelled = {"HostConfig": {"PidsLimit": 7, "Binds": ["/a:/b"], "Ulimits": [{"Name": "core"}]}}
    quick = decode_json(json.dumps(spelled).encode(), ContainerCreate)
    thorough = decode_json(json.dumps(spelled | {"tty": None}).lower().encode(), ContainerCreate)
    assert quick == thorough
    assert isinstance(quick.host_config, HostConfig)
