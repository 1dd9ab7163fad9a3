"""Keys that docker's clients read, in the spelling and with the zero values that they expect."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from skep.model.base import decode_json, encode_json
from skep.model.container import ContainerConfig, ExecCreate, ExecStart
from skep.model.event import make_event
from skep.model.node import ManagerStatus, NodeStatus
from skep.model.service import FileTarget, Mount, PortConfig, RestartPolicy, UpdateStatus

SHOWN = [
    (PortConfig(target_port=80), {"Protocol": "tcp", "TargetPort": 80, "PublishMode": "ingress"}),
    (Mount(target="/data"), {"Type": "volume", "Target": "/data"}),
    (FileTarget(name="key"), {"Name": "key", "UID": "0", "GID": "0", "Mode": 0o444}),
    (RestartPolicy(), {"Condition": "any"}),
    (UpdateStatus(), {"State": "updating"}),
    (NodeStatus(), {"State": "unknown"}),
    (ManagerStatus(), {"Reachability": "unknown", "Leader": False}),
    (make_event("container", "die", "c", {}, 1), {"Type": "container", "scope": "local"}),
    (ContainerConfig(tty=True), {"Tty": True}),
]


@pytest.mark.parametrize(("value", "keys"), SHOWN, ids=lambda case: type(case).__name__)
def test_a_default_that_is_no_zero_in_go_is_written(
    value: msgspec.Struct, keys: dict[str, Any]
) -> None:
    written = json.loads(encode_json(value))
    assert {key: written.get(key) for key in keys} == keys


@pytest.mark.parametrize("kind", [ContainerConfig, ExecCreate, ExecStart])
def test_a_container_s_terminal_is_spelled_tty(kind: Any) -> None:
    assert decode_json(b'{"Tty": true}', kind).tty is True
