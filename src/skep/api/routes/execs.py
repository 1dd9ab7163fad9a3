"""Further processes in running containers."""

from __future__ import annotations

from skep.api.answers import empty, json_answer
from skep.api.attached import converse, say, take_over
from skep.api.request import Request, terminal_size
from skep.api.streams import STDOUT
from skep.http.hijack import Connection
from skep.http.router import Route
from skep.http.web import Response, StreamResponse
from skep.kit.errors import SkepError
from skep.model.container import ExecCreate, ExecStart


async def create(request: Request) -> Response:
    wish = await request.json(ExecCreate)
    exec_id = await request.node.engine.containers.exec_create(request.params["id"], wish)
    return json_answer({"Id": exec_id}, 201)


async def start(request: Request) -> StreamResponse:
    """Run it and join the caller with it, or answer at once when detached.

    The answer's head goes out before the process runs: docker's Python library loses what comes in
    one piece with it.
    """
    containers = request.node.engine.containers
    exec_id = request.params["id"]
    wish = await request.json_or_none(ExecStart) or ExecStart()
    if wish.detach:
        await containers.exec_start(exec_id, wish)
        return empty(200)
    described = await containers.exec_inspect(exec_id)
    terminal = described.process_config.tty
    connection: Connection | None = None

    async def begin() -> None:
        nonlocal connection
        connection = await take_over(request, terminal)

    try:
        stream = await containers.exec_start(exec_id, wish, begin)
    except SkepError as error:
        if connection is None:
            raise
        # It was tried, and its exit code says how it failed: docker's client reads the reason from
        # the process's output and then asks for the code.
        return say(connection, f"{error}\r\n".encode(), stream=STDOUT, terminal=terminal)
    assert stream is not None, "it is not detached"
    return await converse(
        request, stream, stdin=described.open_stdin, terminal=terminal, connection=connection
    )


async def inspect(request: Request) -> Response:
    return json_answer(await request.node.engine.containers.exec_inspect(request.params["id"]))


async def resize(request: Request) -> Response:
    await request.node.engine.containers.exec_resize(request.params["id"], *terminal_size(request))
    return empty(200)


ROUTES = (
    Route("POST", "/containers/{id}/exec", create),
    Route("POST", "/exec/{id}/start", start, streams=True, takes_over=True),
    Route("GET", "/exec/{id}/json", inspect),
    Route("POST", "/exec/{id}/resize", resize),
)
