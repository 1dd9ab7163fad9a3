"""What a route answers with: JSON, nothing, or an error in the Engine API's form."""

from __future__ import annotations

from typing import Any

from skep.api.versions import HEADERS
from skep.http.web import Response
from skep.model.base import encode_json

_JSON = HEADERS | {"Content-Type": "application/json"}


def json_answer(value: Any, status: int = 200) -> Response:
    """Any value of the model, or lists and dicts of them."""
    return json_bytes(encode_json(value), status)


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
