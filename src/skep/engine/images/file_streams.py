"""Byte streams and files, without the event loop waiting for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Generator
from contextlib import closing
from pathlib import Path

from skep.engine.images.compression import CHUNK_BYTES, is_compressed, plain_chunks
from skep.kit.errors import InvalidArgument


async def spool(stream: AsyncIterable[bytes], path: Path) -> None:
    """Write a stream to a new file at `path`."""
    pending = bytearray()
    with await asyncio.to_thread(path.open, "xb") as file:
        async for chunk in stream:
            pending += chunk
            if len(pending) >= CHUNK_BYTES:
                await asyncio.to_thread(file.write, bytes(pending))
                pending.clear()
        await asyncio.to_thread(file.write, bytes(pending))


async def stream(chunks: Generator[bytes, None, None]) -> AsyncIterator[bytes]:
    """A blocking generator as an asynchronous one, a thread for each step."""
    try:
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            yield chunk
    finally:
        await asyncio.to_thread(chunks.close)


def expand(path: Path, limit_bytes: int) -> None:
    """Replace a compressed file by its plain bytes. Blocking.

    Raises InvalidArgument when they are more than `limit_bytes`, or corrupt.
    """
    if not is_compressed(path):
        return
    plain = path.with_name(path.name + "-plain")
    written = 0
    try:
        with plain.open("xb") as file, closing(plain_chunks(path)) as chunks:
            for chunk in chunks:
                written += len(chunk)
                if written > limit_bytes:
                    raise InvalidArgument(f"archive is larger than {limit_bytes} bytes")
                file.write(chunk)
        plain.rename(path)
    finally:
        plain.unlink(missing_ok=True)
