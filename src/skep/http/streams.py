"""Answers that are written while they are made.

A source is asked for its next item only when the client took what came before (up to the socket's
buffer), and is closed as soon as the client is gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from skep.http.request import HttpRequest
from skep.http.web import StreamResponse

T = TypeVar("T")


async def begin(request: HttpRequest, content_type: str) -> StreamResponse:
    """Send the headers; the body follows in pieces."""
    answer = StreamResponse(headers={**request.answer_headers, "Content-Type": content_type})
    await answer.prepare(request.http)
    return answer


async def octets(
    request: HttpRequest, chunks: AsyncIterator[bytes], content_type: str
) -> StreamResponse:
    """Bytes as they come, the headers at once: for streams that may long be silent."""
    async with closing(chunks) as source:
        answer = await begin(request, content_type)
        async for chunk in source:
            await answer.write(chunk)
    return answer


@asynccontextmanager
async def closing(items: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close a source when its reader is done, also one that it never began to read."""
    try:
        yield items
    finally:
        if (aclose := getattr(items, "aclose", None)) is not None:
            await aclose()
