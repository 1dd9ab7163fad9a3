"""The program that libnftables runs in: reads requests at descriptor 0, carries each out, answers.

A process of its own because the library waits with select(2): a descriptor of 1,024 or more is
beyond the set's end, and glibc then aborts the process. This one never has ten. Nor can anything
else in the library that ends a process end the daemon. It imports the standard library only, so
that it starts in 20 ms, and ends when its parent does.

Numbers are big endian. Request: lengths of the two texts that follow, a namespace's path (empty:
the namespace it was started in) and nft commands. Answer: a byte that is 0 if all went well, the
length of the text that follows: what nft printed, or why not. The first answer, to no request, says
whether the library is there.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
from pathlib import Path

NAME = "skep-nft"
"""What the kernel calls the process that makes our changes (see `rule_changes.py`)."""
REQUEST = struct.Struct("!II")
ANSWER = struct.Struct("!BI")
_LIBRARY = "libnftables.so.1"
_MISSING = f"{_LIBRARY} is not installed: install the package libnftables1 (or nftables)".encode()
_CLONE_NEWNET = 0x40000000


def receive(line: socket.socket, count: int) -> bytes:
    """Exactly so many bytes; raises EOFError when the other side has gone."""
    data = bytearray()
    while len(data) < count:
        more = line.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return bytes(data)


class _Context:
    """One nftables context; it belongs to the namespace in which it was made."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._context = library.nft_ctx_new(0)
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)

    def run(self, commands: bytes) -> tuple[bool, bytes]:
        failed = self._library.nft_run_cmd_from_buffer(self._context, commands)
        output: bytes = self._library.nft_ctx_get_output_buffer(self._context)
        error: bytes = self._library.nft_ctx_get_error_buffer(self._context)
        return (False, error.strip()) if failed else (True, output)

    def close(self) -> None:
        self._library.nft_ctx_free(self._context)


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(_LIBRARY)
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_free.argtypes = [ctypes.c_void_p]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for buffer in ("output", "error"):
        getattr(library, f"nft_ctx_buffer_{buffer}").argtypes = [ctypes.c_void_p]
        get = getattr(library, f"nft_ctx_get_{buffer}_buffer")
        get.argtypes, get.restype = [ctypes.c_void_p], ctypes.c_char_p
    return library


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _run_inside(
    library: ctypes.CDLL, home: int, path: bytes, commands: bytes
) -> tuple[bool, bytes]:
    """In a context of its own: the library keeps no more of a sandbox than its namespace does."""
    namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(namespace)
    finally:
        os.close(namespace)
    try:
        context = _Context(library)
        try:
            return context.run(commands)
        finally:
            context.close()
    finally:
        _enter(home)  # or end: never write a sandbox's rules elsewhere


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent says when to end
    Path("/proc/self/comm").write_text(NAME)
    line = socket.socket(fileno=0)
    try:
        library = _load()
    except OSError:
        _answer(line, good=False, said=_MISSING)
        return
    _answer(line, good=True, said=b"")
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    at_home = _Context(library)
    while True:
        lengths = REQUEST.unpack(receive(line, REQUEST.size))
        path, commands = (receive(line, length) for length in lengths)
        try:
            good, said = (
                _run_inside(library, home, path, commands) if path else at_home.run(commands)
            )
        except FileNotFoundError as error:
            good, said = False, f"{path.decode()}: {error.strerror}".encode()
        _answer(line, good=good, said=said)


def _answer(line: socket.socket, *, good: bool, said: bytes) -> None:
    line.sendall(ANSWER.pack(0 if good else 1, len(said)) + said)


if __name__ == "__main__":
    try:
        main()
    except (EOFError, ConnectionError):
        pass
