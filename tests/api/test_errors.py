"""What a caller is told when something is wrong."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp
import pytest

from skep.api import Server
from skep.kit import errors
from skep.testing.control_plane import ControlPlane
from skep.testing.node import StandInNode
from skep.testing.stand_in import instead_of


async def answer_of(answer: aiohttp.ClientResponse) -> tuple[int, Any]:
    return answer.status, await answer.json()


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH"])
async def test_a_path_that_docker_does_not_have_is_not_found(
    http: aiohttp.ClientSession, method: str
) -> None:
    answer = await http.request(method, "/v1.50/nowhere")
    assert await answer_of(answer) == (404, {"message": "page not found"})


async def test_a_method_that_a_path_does_not_have_is_not_found(
    http: aiohttp.ClientSession,
) -> None:
    assert await answer_of(await http.post("/version")) == (404, {"message": "page not found"})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidArgument("wrong"), 400),
        (errors.Unauthenticated("who"), 401),
        (errors.Forbidden("no"), 403),
        (errors.NotFound("none"), 404),
        (errors.Conflict("taken"), 409),
        (errors.Unimplemented("not here"), 501),
        (errors.Unavailable("not now"), 503),
    ],
)
async def test_an_error_keeps_its_status_and_its_sentence(
    node: StandInNode, http: aiohttp.ClientSession, error: errors.SkepError, status: int
) -> None:
    @instead_of(node.engine.containers.start)
    async def start(name: str) -> None:
        raise error

    answer = await http.post("/containers/c/start")
    assert await answer_of(answer) == (status, {"message": str(error)})


async def test_what_is_so_already_is_answered_without_a_body(
    node: StandInNode, http: aiohttp.ClientSession
) -> None:
    @instead_of(node.engine.containers.start)
    async def start(name: str) -> None:
        raise errors.NotModified("it runs")

    answer = await http.post("/containers/c/start")
    assert (answer.status, await answer.read()) == (304, b"")


@pytest.mark.logs_errors("failed unexpectedly")
@pytest.mark.parametrize("error", [ZeroDivisionError("1/0"), ConnectionError("x"), TimeoutError()])
async def test_a_fault_of_ours_is_logged_with_its_trace_and_answered_without(
    node: StandInNode,
    http: aiohttp.ClientSession,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    @instead_of(node.engine.containers.start)
    async def start(name: str) -> None:
        raise error

    with caplog.at_level(logging.ERROR):
        status, body = await answer_of(await http.post("/v1.44/containers/c/start"))
    assert status == 500
    assert body == {
        "message": "internal error in POST /v1.44/containers/c/start: the daemon's log says more"
    }
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error


async def test_the_cluster_is_asked_of_managers_only(
    node: StandInNode, http: aiohttp.ClientSession
) -> None:
    for path in ("/services", "/tasks", "/nodes", "/swarm", "/secrets", "/configs"):
        status, body = await answer_of(await http.get(path))
        assert status == 503
        assert body["message"] == (
            'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" '
            "to connect this node to swarm and try again."
        )


async def test_json_of_another_type_is_refused(http: aiohttp.ClientSession) -> None:
    answer = await http.post(
        "/containers/create", data=b"{}", headers={"Content-Type": "text/plain"}
    )
    assert await answer_of(answer) == (
        400,
        {"message": "unsupported Content-Type header (text/plain): must be 'application/json'"},
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "invalid JSON in request body: Input data was truncated"),
        (b"[]", "invalid request body: Expected `object`, got `array`"),
        (b'{"Image": 7}', "invalid request body: Expected `str`, got `int` - at `$.Image`"),
        (b"", "invalid JSON: got EOF while reading request body"),
        (b"[" * 100_000, "invalid JSON in request body: maximum recursion depth exceeded"),
    ],
)
async def test_a_wrong_body_is_refused_with_the_place_of_the_fault(
    http: aiohttp.ClientSession, body: bytes, message: str
) -> None:
    answer = await http.post(
        "/containers/create", data=body, headers={"Content-Type": "application/json"}
    )
    status, said = await answer_of(answer)
    assert status == 400
    assert said["message"].startswith(message)


async def test_skep_s_own_client_must_know_what_it_writes(http: aiohttp.ClientSession) -> None:
    answer = await http.post(
        "/swarm/join", json={"Immage": "x"}, headers={"User-Agent": "skep/1.0"}
    )
    message = "invalid request body: Object contains unknown field `Immage`"
    assert await answer_of(answer) == (400, {"message": message})
    assert (await http.post("/swarm/join", json={"Immage": "x"})).status == 200


@pytest.mark.parametrize("path", ["/services/create", "/services/web/update?version=1"])
async def test_credentials_that_cannot_be_read_are_refused_at_the_door(
    http: aiohttp.ClientSession, cluster: ControlPlane, path: str
) -> None:
    answer = await http.post(path, json={}, headers={"X-Registry-Auth": "***"})
    message = "invalid X-Registry-Auth header: it is not base64"
    assert await answer_of(answer) == (400, {"message": message})


async def test_a_body_without_end_is_refused_early(http: aiohttp.ClientSession) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            yield b" " * 100_000
            sent += 100_000

    try:
        answer = await http.post(
            "/containers/create", data=endless(), headers={"Content-Type": "application/json"}
        )
        assert answer.status == 413
    except aiohttp.ClientConnectionError:
        pass  # The server hung up while we were still sending.
    assert sent < 20_000_000


async def test_a_change_is_carried_through_when_its_caller_hangs_up(
    node: StandInNode, http: aiohttp.ClientSession
) -> None:
    begun, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @instead_of(node.engine.containers.start)
    async def start(name: str) -> None:
        begun.set()
        await go.wait()
        done.set()

    call = asyncio.create_task(http.post("/containers/c/start"))
    await begun.wait()
    call.cancel()
    await asyncio.sleep(0.05)
    go.set()
    async with asyncio.timeout(5):
        await done.wait()


async def test_stopping_waits_for_changes_that_were_begun(
    node: StandInNode, server: Server, http: aiohttp.ClientSession
) -> None:
    begun, done = asyncio.Event(), asyncio.Event()

    @instead_of(node.engine.containers.start)
    async def start(name: str) -> None:
        begun.set()
        await asyncio.sleep(0.1)
        done.set()

    call = asyncio.create_task(http.post("/containers/c/start"))
    await begun.wait()
    await server.stop()
    assert done.is_set()
    assert (await call).status == 204
