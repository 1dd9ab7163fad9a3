"""One node's containers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from skep.api import attached, choices, filters, older, streams
from skep.api.answers import empty, json_answer
from skep.api.query import parse_tail
from skep.api.request import Request, terminal_size
from skep.http.router import Route
from skep.http.streams import begin, closing
from skep.http.web import Response, StreamResponse
from skep.kit.clock import utc_now
from skep.kit.errors import InvalidArgument, SkepError
from skep.model.base import encode_json
from skep.model.container import ContainerCreate, ContainerUpdate, WaitError, WaitResult
from skep.runtime.door import Chunk

if TYPE_CHECKING:
    from skep.engine import WaitCondition

_CONDITIONS: tuple[WaitCondition, ...] = ("", "not-running", "next-exit", "removed")


async def find(request: Request) -> Response:
    containers = await request.node.engine.containers.list(
        all_containers=request.flag("all"),
        query=choices.containers(request.filters()),
        limit=max(request.integer("limit", 0), 0),
        size=request.flag("size"),
    )
    return json_answer(containers)


async def create(request: Request) -> Response:
    given = await request.json(ContainerCreate)
    wish = older.container(given, request.version, request.node.facts.cgroup_version)
    containers = request.node.engine.containers
    return json_answer(await containers.create(wish, request.text("name")), 201)


async def inspect(request: Request) -> Response:
    containers = request.node.engine.containers
    found = await containers.inspect(request.params["id"], size=request.flag("size"))
    return json_answer(older.container_inspect(found, request.version))


async def start(request: Request) -> Response:
    await request.node.engine.containers.start(request.params["id"])
    return empty()


async def stop(request: Request) -> Response:
    await request.node.engine.containers.stop(
        request.params["id"], signal=request.text("signal"), timeout_s=_timeout_s(request)
    )
    return empty()


async def restart(request: Request) -> Response:
    await request.node.engine.containers.restart(
        request.params["id"], signal=request.text("signal"), timeout_s=_timeout_s(request)
    )
    return empty()


def _timeout_s(request: Request) -> int | None:
    return request.integer("t") if request.text("t") else None


async def kill(request: Request) -> Response:
    signal = request.text("signal") or "KILL"
    await request.node.engine.containers.kill(request.params["id"], signal)
    return empty()


async def pause(request: Request) -> Response:
    await request.node.engine.containers.pause(request.params["id"])
    return empty()


async def unpause(request: Request) -> Response:
    await request.node.engine.containers.unpause(request.params["id"])
    return empty()


async def rename(request: Request) -> Response:
    await request.node.engine.containers.rename(request.params["id"], request.text("name"))
    return empty()


async def update(request: Request) -> Response:
    wish = older.container_update(await request.json(ContainerUpdate), request.version)
    return json_answer(await request.node.engine.containers.update(request.params["id"], wish))


async def remove(request: Request) -> Response:
    if request.flag("link"):
        raise InvalidArgument("links between containers are not supported: use a network")
    await request.node.engine.containers.remove(
        request.params["id"], force=request.flag("force"), volumes=request.flag("v")
    )
    return empty()


async def prune(request: Request) -> Response:
    wanted = request.filters()
    filters.check_keys(wanted, ("label", "label!", "until"))
    labels, until = filters.labels(wanted), filters.until(wanted, utc_now())
    pruned = await request.node.engine.containers.prune(labels, until)
    return json_answer(
        {
            "ContainersDeleted": pruned.containers_deleted or None,
            "SpaceReclaimed": pruned.space_reclaimed,
        }
    )


async def top(request: Request) -> Response:
    ps_args = request.text("ps_args")
    return json_answer(await request.node.engine.containers.top(request.params["id"], ps_args))


async def stats(request: Request) -> StreamResponse:
    readings = await request.node.engine.containers.stats(
        request.params["id"],
        stream=request.flag("stream", default=True),
        one_shot=request.flag("one-shot"),
    )
    return await streams.json_lines(request, readings)


async def wait(request: Request) -> StreamResponse:
    """The headers go out as soon as the waiting has begun: `docker run` starts the container only
    after it has seen them, and must not miss a quick end. (Clients before 1.30 know no condition,
    and get headers and result at once, when it ends.)"""
    containers = request.node.engine.containers
    condition = _condition(request) if request.version >= (1, 30) else ""
    container_id = containers.resolve(request.params["id"])
    waiting = asyncio.create_task(containers.wait(container_id, condition))
    try:
        if request.version < (1, 30):
            return json_answer(await _result(waiting))
        await asyncio.sleep(0)
        answer = await begin(request, "application/json")
        await answer.write(encode_json(await _result(waiting)))
    finally:
        waiting.cancel()
    return answer


async def _result(waiting: asyncio.Task[WaitResult]) -> WaitResult:
    try:
        return await waiting
    except SkepError as error:
        return WaitResult(status_code=-1, error=WaitError(message=str(error)))


def _condition(request: Request) -> WaitCondition:
    text = request.text("condition")
    for condition in _CONDITIONS:
        if condition == text:
            return condition
    raise InvalidArgument(f'invalid condition: "{text}"')


async def logs(request: Request) -> StreamResponse:
    stdout, stderr = request.flag("stdout"), request.flag("stderr")
    if not (stdout or stderr):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    containers = request.node.engine.containers
    container = await containers.inspect(request.params["id"])
    lines = containers.logs(
        container.id,
        follow=request.flag("follow"),
        stdout=stdout,
        stderr=stderr,
        since_ns=request.time_ns("since"),
        until_ns=request.time_ns("until"),
        tail=parse_tail(request.text("tail")),
        timestamps=request.flag("timestamps"),
        details=request.flag("details"),
    )
    return await streams.frames(request, _pieces(await lines), container.config.tty)


async def _pieces(lines: AsyncIterator[Chunk]) -> AsyncIterator[tuple[int, bytes]]:
    async with closing(lines):
        async for line in lines:
            yield line.stream, line.data


async def attach(request: Request) -> StreamResponse:
    containers = request.node.engine.containers
    container = await containers.inspect(request.params["id"])
    stdin = request.flag("stdin")
    stream = await containers.attach(
        container.id,
        stdin=stdin,
        stdout=request.flag("stdout"),
        stderr=request.flag("stderr"),
        logs=request.flag("logs"),
        stream=request.flag("stream"),
        detach_keys=request.text("detachKeys"),
    )
    return await attached.converse(
        request,
        stream,
        stdin=stdin,
        terminal=container.config.tty,
        patience_s=attached.ATTACH_PATIENCE_S,
    )


async def resize(request: Request) -> Response:
    await request.node.engine.containers.resize(request.params["id"], *terminal_size(request))
    return empty(200)


ROUTES = (
    Route("GET", "/containers/json", find),
    Route("POST", "/containers/create", create),
    Route("POST", "/containers/prune", prune),
    Route("GET", "/containers/{id}/json", inspect),
    Route("POST", "/containers/{id}/start", start),
    Route("POST", "/containers/{id}/stop", stop),
    Route("POST", "/containers/{id}/restart", restart),
    Route("POST", "/containers/{id}/kill", kill),
    Route("POST", "/containers/{id}/pause", pause),
    Route("POST", "/containers/{id}/unpause", unpause),
    Route("POST", "/containers/{id}/rename", rename),
    Route("POST", "/containers/{id}/update", update),
    Route("DELETE", "/containers/{id}", remove),
    Route("GET", "/containers/{id}/top", top),
    Route("GET", "/containers/{id}/stats", stats, streams=True),
    Route("POST", "/containers/{id}/wait", wait, streams=True),
    Route("GET", "/containers/{id}/logs", logs, streams=True),
    Route("POST", "/containers/{id}/attach", attach, streams=True, takes_over=True),
    Route("POST", "/containers/{id}/resize", resize),
)
