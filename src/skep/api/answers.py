"""What a route answers with: JSON, nothing, or an error in the Engine API's form."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from skep.api.request import Request
from skep.api.versions import HEADERS
from skep.http.streams import octets
from skep.http.web import Response, StreamResponse
from skep.kit.unhurried import unhurried
from skep.model.base import encode_json

_JSON = HEADERS | {"Content-Type": "application/json"}


def json_answer(value: Any, status: int = 200) -> Response:
    """Any value of the model, or lists and dicts of them."""
    return json_bytes(encode_json(value), status)


_AT_ONCE = 1_000
"""So much of a list is encoded at a time: 5 ms for tasks."""


async def json_list(request: Request, items: Sequence[Any]) -> StreamResponse:
    """A list that may be very long: then it is encoded while it is sent, and others have their turn
    in between."""
    if len(items) <= _AT_ONCE:
        return json_answer(items)
    return await octets(request, _in_slices(items), "application/json")


async def _in_slices(items: Sequence[Any]) -> AsyncIterator[bytes]:
    before = b"["
    async for part in unhurried(items, _AT_ONCE):
        yield before + encode_json(part)[1:-1]
        before = b","
    yield b"]"


def json_bytes(body: bytes, status: int = 200) -> Response:
    """JSON that is encoded already."""
    return Response(body=body, status=status, headers=_JSON)


def empty(status: int = 204) -> Response:
    """No body: 204 for "done", 200 where docker says so, 304 for "it was so already"."""
    return Response(status=status, headers=HEADERS)


def error_answer(message: str, status: int) -> Response:
    """`{"message": …}`; a 304 has no body by HTTP's rules."""
    if status == 304:
        return empty(304)
    return json_answer({"message": message}, status)
