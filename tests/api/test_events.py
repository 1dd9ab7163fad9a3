"""GET /events: what happened on the node and in its cluster, as docker's clients ask for it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import docker as docker_py
import pytest

from skep.api import Server
from skep.testing.control_plane import ControlPlane
from skep.testing.node import StandInNode


@pytest.fixture
async def happened(node: StandInNode, cluster: ControlPlane) -> float:
    """A service came, grew and went, and a container started; since when."""
    since = time.time()
    web = await cluster.create_service(2)
    await cluster.until(lambda: len(cluster.running(web)) == 2)
    node.engine.events.emit("container", "start", "c1", {"name": "box", "image": "app:1"})
    await cluster.scale(web, 3)
    await cluster.until(lambda: len(cluster.running(web)) == 3)
    await cluster.manager.control.services.remove(web)
    await cluster.until(lambda: not cluster.manager.store.view.tasks_of_service(web))
    return since


async def told(
    http: aiohttp.ClientSession, since: float, **filters: list[str]
) -> list[dict[str, Any]]:
    """The events of the past."""
    query = {"since": f"{since:.9f}", "until": f"{time.time():.9f}", "filters": json.dumps(filters)}
    answer = await http.get("/events", params=query)
    assert answer.status == 200
    return [json.loads(line) for line in (await answer.text()).splitlines()]


def said(event: dict[str, Any]) -> str:
    name = event["Actor"]["Attributes"]["name"]
    return f"{event['scope']} {event['Type']} {event['Action']} {name}"


async def test_the_cluster_s_past_and_the_node_s_are_one_story(
    http: aiohttp.ClientSession, happened: float
) -> None:
    events = await told(http, happened)
    assert [event["timeNano"] for event in events] == sorted(e["timeNano"] for e in events)
    assert list(dict.fromkeys(map(said, events))) == [
        "swarm service create web",
        "swarm service update web",
        "local container start box",
        "swarm service remove web",
    ]
    changes = [event["Actor"]["Attributes"] for event in events if event["Action"] == "update"]
    assert {"name": "web", "replicas.old": "2", "replicas.new": "3"} in changes


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"scope": ["local"]}, {"local container start box"}),
        ({"type": ["service"], "event": ["remove"]}, {"swarm service remove web"}),
        ({"service": ["web"], "event": ["create"]}, {"swarm service create web"}),
        ({"service": ["other"]}, set()),
        ({"container": ["c1"]}, {"local container start box"}),
        ({"image": ["app:1"]}, {"local container start box"}),
    ],
)
async def test_filters_choose_events(
    http: aiohttp.ClientSession,
    happened: float,
    filters: dict[str, list[str]],
    expected: set[str],
) -> None:
    assert set(map(said, await told(http, happened, **filters))) == expected


async def test_tasks_are_told_to_those_who_ask_for_them(
    http: aiohttp.ClientSession, happened: float
) -> None:
    assert not [e for e in await told(http, happened) if e["Type"] == "task"]
    tasks = await told(http, happened, type=["task"], service=["web"])
    assert {event["Type"] for event in tasks} == {"task"}
    first = tasks[0]["Actor"]["ID"]
    life = [event["Actor"]["Attributes"] for event in tasks if event["Actor"]["ID"] == first]
    assert life[0]["cause"]
    states = [attributes["state.new"] for attributes in life if "state.new" in attributes]
    assert (states[0], "running" in states) == ("assigned", True), "it is born with its node"
    assert life[-1]["node.id"]
    assert await told(http, happened, task=[first], event=["create"])
    assert not await told(http, happened, type=["task"], service=["other"])


async def test_a_live_stream_tells_of_the_cluster(
    http: aiohttp.ClientSession, cluster: ControlPlane
) -> None:
    answer = await http.get("/events", params={"filters": '{"type":{"service":true}}'})
    await cluster.create_service(1)
    async with asyncio.timeout(10):
        assert said(json.loads(await answer.content.readline())) == "swarm service create web"
    answer.close()


async def test_a_worker_tells_of_itself_alone(
    node: StandInNode, http: aiohttp.ClientSession
) -> None:
    since = time.time()
    node.engine.events.emit("volume", "create", "v1", {"name": "v1"})
    assert [said(e) for e in await told(http, since)] == ["local volume create v1"]


async def test_a_filter_that_nobody_knows_is_refused(http: aiohttp.ClientSession) -> None:
    answer = await http.get("/events", params={"filters": '{"colour":["red"]}'})
    assert (answer.status, (await answer.json())["message"]) == (400, "invalid filter 'colour'")


async def test_docker_s_client_tells_the_story(docker: Any, happened: float) -> None:
    window = ("--since", f"{happened:.9f}", "--until", f"{time.time():.9f}")
    form = ("--format", "{{.Scope}} {{.Type}} {{.Action}} {{.Actor.Attributes.name}}")
    everything = await docker("events", *window, *form)
    assert everything.code == 0, everything.err
    lines = everything.out.splitlines()
    assert lines[0] == "swarm service create web"
    assert lines[-1] == "swarm service remove web"
    services = await docker("events", *window, *form, "--filter", "type=service")
    assert {line.split()[1] for line in services.out.splitlines()} == {"service"}
    plain = await docker("events", *window, "--filter", "event=update")
    assert "replicas.new=3, replicas.old=2" in plain.out
    tasks = await docker("events", *window, "--filter", "type=task", "--filter", "service=web")
    assert "task create" in tasks.out


async def test_docker_py_tells_the_story(sock: Path, server: Server, happened: float) -> None:
    def ask() -> list[dict[str, Any]]:
        client = docker_py.DockerClient(base_url=f"unix://{sock}")
        window = {"since": int(happened), "until": int(time.time()) + 1}
        try:
            return list(client.events(**window, filters={"type": "service"}, decode=True))
        finally:
            client.close()

    events = await asyncio.to_thread(ask)
    assert [event["Action"] for event in (events[0], events[-1])] == ["create", "remove"]
