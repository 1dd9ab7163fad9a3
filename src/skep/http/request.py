"""One request that found its route: its parameters, and its body within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import ClassVar

from skep.http.web import BaseRequest
from skep.kit.errors import SkepError

_BODY_TIMEOUT_S = 60.0
_CHUNK_BYTES = 256 * 1024


class BodyTooLarge(SkepError):
    http_status = 413


class BodyTooSlow(SkepError):
    http_status = 408


class HttpRequest:
    """`params` are the named parts of the path. `answer_headers` stand on every answer of a door.

    A door's own request has this for its base and adds what its handlers need.
    """

    __slots__ = ("http", "params")

    answer_headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, http: BaseRequest, params: Mapping[str, str]) -> None:
        self.http = http
        self.params = params

    def text(self, name: str, default: str = "") -> str:
        return self.http.rel_url.query.get(name, default)

    def texts(self, name: str) -> list[str]:
        """All values of a parameter that may be repeated."""
        return self.http.rel_url.query.getall(name, [])

    def given(self, name: str) -> bool:
        return name in self.http.rel_url.query

    async def body(self, most_bytes: int, what: str) -> bytes:
        """The whole body, `what` it should be. Raises BodyTooLarge (413), BodyTooSlow (408)."""
        content = self.http.content
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_TIMEOUT_S):
                while chunk := await content.readany():
                    body += chunk
                    if len(body) > most_bytes:
                        raise BodyTooLarge(
                            f"request body too large: at most {most_bytes} bytes of {what}"
                        )
        except TimeoutError:
            raise BodyTooSlow(
                f"the request body did not come within {_BODY_TIMEOUT_S:g} s"
            ) from None
        return bytes(body)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes in; the sender is held up while nobody asks for more."""
        async for chunk in self.http.content.iter_chunked(_CHUNK_BYTES):
            yield chunk
