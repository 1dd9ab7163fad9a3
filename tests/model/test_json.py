"""How request bodies are read: as Go's decoder reads them for dockerd, but unknown keys refused."""

from __future__ import annotations

import pytest

from skep.kit.errors import InvalidArgument
from skep.model.base import decode_json, docker_name
from skep.model.service import ReplicatedService, ServiceMode, ServiceSpec


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
