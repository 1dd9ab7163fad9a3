"""The plain bytes of an archive, whatever it was packed with; told by its first bytes.

Every step yields at most one chunk, so a small archive that swells a thousandfold (a "bomb") costs
memory for one chunk; whoever consumes the chunks counts them.
"""

from __future__ import annotations

import bz2
import lzma
import subprocess
import zlib
from collections.abc import Generator
from io import FileIO
from pathlib import Path

from skep.kit.errors import InvalidArgument, Unimplemented

CHUNK_BYTES = 1 << 20

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_XZ = b"\xfd7zXZ\x00"
_BZIP2 = b"BZh"
_ZSTD_WINDOW_MIB = 128
_GZIP_WBITS = 31
"""zlib's number for "a gzip header and trailer around deflate"."""


def is_compressed(path: Path) -> bool:
    """Whether the file at `path` begins like a gzip, zstd, xz or bzip2 file. Blocking."""
    with path.open("rb") as file:
        return file.read(6).startswith((_GZIP, _ZSTD, _XZ, _BZIP2))


def plain_chunks(path: Path) -> Generator[bytes, None, None]:
    """The uncompressed bytes of the file at `path`. Blocking; close it to end a helper early.

    Raises InvalidArgument when the compressed data is corrupt or ends early.
    """
    with path.open("rb", buffering=0) as file:  # a child process goes on where we stopped
        magic = file.read(6)
        file.seek(0)
        try:
            if magic.startswith(_GZIP):
                yield from _gunzip(file)
            elif magic.startswith(_ZSTD):
                yield from _unzstd(file)
            elif magic.startswith(_XZ):
                yield from _decompress(file, lzma.LZMADecompressor)
            elif magic.startswith(_BZIP2):
                yield from _decompress(file, bz2.BZ2Decompressor)
            else:
                yield from _read(file)
        except (zlib.error, lzma.LZMAError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise InvalidArgument(f"corrupt compressed archive: {error}") from None


def _read(file: FileIO) -> Generator[bytes, None, None]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _gunzip(file: FileIO) -> Generator[bytes, None, None]:
    """zlib's own loop: gzip.GzipFile of Python 3.11 reads 8 KiB at a time."""
    stream = zlib.decompressobj(_GZIP_WBITS)
    packed = b""
    while packed or (packed := file.read(CHUNK_BYTES)):
        if chunk := stream.decompress(packed, CHUNK_BYTES):
            yield chunk
        packed = stream.unconsumed_tail
        if stream.eof:  # another member may follow: pigz and cat write such files
            packed = stream.unused_data.lstrip(b"\0")
            stream = zlib.decompressobj(_GZIP_WBITS)
            fresh = True
        else:
            fresh = False
    if not fresh:
        raise InvalidArgument("corrupt compressed archive: unexpected end of gzip data")


def _decompress(
    file: FileIO, start: type[lzma.LZMADecompressor] | type[bz2.BZ2Decompressor]
) -> Generator[bytes, None, None]:
    stream = start()
    packed = file.read(CHUNK_BYTES)
    while packed or not stream.needs_input:
        if chunk := stream.decompress(packed, CHUNK_BYTES):
            yield chunk
        packed = b""
        if stream.eof:
            packed = stream.unused_data or file.read(CHUNK_BYTES)
            if not packed:
                return
            stream = start()
        elif stream.needs_input:
            packed = file.read(CHUNK_BYTES)
    raise InvalidArgument("corrupt compressed archive: unexpected end of data")


def _unzstd(file: FileIO) -> Generator[bytes, None, None]:
    """By zstd(1): Python 3.11 has no zstd of its own."""
    command = ["zstd", "--decompress", "--stdout", "--quiet", f"--memory={_ZSTD_WINDOW_MIB}MiB"]
    try:
        child = subprocess.Popen(
            command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
    except FileNotFoundError:
        raise Unimplemented(
            "this archive is compressed with zstd: install the zstd program on this node"
        ) from None
    with child:
        assert child.stdout is not None and child.stderr is not None
        try:
            while chunk := child.stdout.read(CHUNK_BYTES):
                yield chunk
            complaint = child.stderr.read(500).decode(errors="replace").strip()
            if child.wait():
                raise InvalidArgument(f"corrupt compressed archive: {complaint}")
        finally:
            child.kill()
