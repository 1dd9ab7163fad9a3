"""What dockerode (5.0.1, the library under most panels) sends: recorded from it. It puts the query
into the body as well, and a service's spec into the header for credentials."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from skep.model.container import (
    ContainerCreate,
    ContainerCreated,
    ContainerUpdate,
    ContainerUpdated,
    HostConfig,
)
from skep.testing.control_plane import ControlPlane
from skep.testing.node import StandInNode
from skep.testing.stand_in import instead_of


def _query(options: dict[str, Any]) -> str:
    """As dockerode makes it: a list is a word said often, an object is JSON."""
    words = {
        key: value if isinstance(value, str | int | list) else json.dumps(value)
        for key, value in options.items()
    }
    return urlencode(words, doseq=True)


async def _send(http: aiohttp.ClientSession, path: str, options: dict[str, Any]) -> Any:
    answer = await http.post(f"{path}?{_query(options)}", json=options)
    assert answer.status in {200, 201}, await answer.text()
    return await answer.json() if answer.content_type == "application/json" else None


CREATE = {
    "name": "web",
    "platform": "linux/amd64",
    "Image": "app:1",
    "Cmd": ["sleep", "1"],
    "HostConfig": {"AutoRemove": True},
}


async def test_a_container_is_created_and_changed(
    http: aiohttp.ClientSession, node: StandInNode
) -> None:
    heard: list[Any] = []

    @instead_of(node.engine.containers.create)
    async def create(body: ContainerCreate, name: str = "") -> ContainerCreated:
        heard.append((body, name))
        return ContainerCreated(id="c")

    @instead_of(node.engine.containers.update)
    async def update(name: str, wish: ContainerUpdate) -> ContainerUpdated:
        heard.append((wish, name))
        return ContainerUpdated()

    assert await _send(http, "/containers/create", CREATE) == {"Id": "c", "Warnings": []}
    await _send(http, "/containers/c/update", {"Memory": 33554432})
    assert heard == [
        (
            ContainerCreate(
                image="app:1", cmd=["sleep", "1"], host_config=HostConfig(auto_remove=True)
            ),
            "web",
        ),
        (ContainerUpdate(memory=33554432), "c"),
    ]


SERVICE = {
    "Name": "web",
    "TaskTemplate": {"ContainerSpec": {"Image": "app:1"}},
    "Mode": {"Replicated": {"Replicas": 1}},
}


async def test_a_service_is_created_and_updated(
    http: aiohttp.ClientSession, cluster: ControlPlane
) -> None:
    auth = base64.b64encode(json.dumps(SERVICE).encode()).decode()
    answer = await http.post("/services/create", json=SERVICE, headers={"X-Registry-Auth": auth})
    assert answer.status == 201
    read = await (await http.get("/services/web")).json()
    await cluster.until(lambda: len(cluster.running(read["ID"])) == 1)
    template = read["Spec"]["TaskTemplate"]
    wish = {
        "version": read["Version"]["Index"],
        **read["Spec"],
        "TaskTemplate": {**template, "ForceUpdate": template["ForceUpdate"] + 1},
        "registryAuthFrom": "spec",
    }
    await _send(http, "/services/web/update", wish)
    read = await (await http.get("/services/web")).json()
    assert read["Spec"]["TaskTemplate"]["ForceUpdate"] == 1


async def test_a_node_and_the_swarm_are_updated(
    http: aiohttp.ClientSession, cluster: ControlPlane
) -> None:
    nodes = await (await http.get("/nodes")).json()
    drone = next(each for each in nodes if each["Description"]["Hostname"] == "drone-1")
    version = drone["Version"]["Index"]
    wish = {"version": version, "Availability": "drain", "Role": "worker"}
    await _send(http, f"/nodes/{drone['ID']}/update", wish)
    assert cluster.manager.control.nodes.get(drone["ID"]).spec.availability == "drain"
    swarm = await (await http.get("/swarm")).json()
    await _send(http, "/swarm/update", {"version": swarm["Version"]["Index"], **swarm["Spec"]})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/containers/create?name=web", {"Runtime": "kata"}),
        ("/services/create", {"TaskTemplate": {"Resources": {"SwapBytes": 1}}}),
    ],
)
async def test_what_the_api_has_and_skep_has_not_is_refused_by_name(
    http: aiohttp.ClientSession, cluster: ControlPlane, path: str, body: dict[str, Any]
) -> None:
    answer = await http.post(path, json=body)
    assert answer.status == 501
    assert (await answer.json())["message"].endswith(" is not supported by skep")
