"""The program that libnftables runs in: reads requests at descriptor 0, carries each out, answers.

A process of its own because the library waits with select(2): a descriptor of 1,024 or more is
beyond the set's end, and glibc then aborts the process. This one never has ten. Nor can anything
else in the library that ends a process end the daemon. It imports the least of the standard library
(even `signal` is half a megabyte), so that it starts in 20 ms, and ends when its parent does.

Numbers are big endian. Request: lengths of the two texts that follow, a namespace's path (empty:
the namespace it was started in) and nft commands. Answer: a byte that is 0 if all went well, the
length of the text that follows: what nft printed, or why not. The first answer, to no request, says
whether the library is there.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct

NAME = "skep-nft"
"""What the kernel calls the process that makes our changes (see `rule_changes.py`)."""
REQUEST = struct.Struct("!II")
ANSWER = struct.Struct("!BI")
_LINE = 0
_LIBRARY = "libnftables.so.1"
_MISSING = f"{_LIBRARY} is not installed: install the package libnftables1 (or nftables)".encode()
_CLONE_NEWNET = 0x40000000
_SIGHUP, _SIGINT, _SIGTERM, _SIG_IGN = 1, 2, 15, 1
_IDLE_MS = 500

_libc = ctypes.CDLL(None, use_errno=True)


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


def _run(library: ctypes.CDLL, commands: bytes) -> tuple[bool, bytes]:
    """Whether it went well, and what was said. In a context of its own, which belongs to the
    namespace that we are in: so nothing is remembered of rules that others may change."""
    context = library.nft_ctx_new(0)
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        failed = library.nft_run_cmd_from_buffer(context, commands)
        output: bytes = library.nft_ctx_get_output_buffer(context)
        error: bytes = library.nft_ctx_get_error_buffer(context)
        return (False, error.strip()) if failed else (True, output)
    finally:
        library.nft_ctx_free(context)


def _run_inside(
    library: ctypes.CDLL, home: int, path: bytes, commands: bytes
) -> tuple[bool, bytes]:
    """The same in the namespace that is bound at `path`."""
    try:
        namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(namespace)
        finally:
            os.close(namespace)
    except OSError as error:
        return False, b"network namespace " + path + f": {error.strerror}".encode()
    try:
        return _run(library, commands)
    finally:
        _enter(home)  # or end: never write a sandbox's rules elsewhere


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _receive(count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = os.read(_LINE, count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _answer(*, good: bool, said: bytes) -> None:
    message = ANSWER.pack(0 if good else 1, len(said)) + said
    while message:
        message = message[os.write(_LINE, message) :]


def _rest(line: select.poll) -> None:
    """Wait for work. When there is none for a while, memory goes back to the kernel: each table
    takes two megabytes for a moment (malloc_trim(3); another libc has none)."""
    if not line.poll(_IDLE_MS) and hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


def _prepare() -> None:
    for number in (_SIGHUP, _SIGINT, _SIGTERM):
        _libc.signal(number, ctypes.c_void_p(_SIG_IGN))  # the parent says when to end
    with open("/proc/self/comm", "w") as name:  # noqa: PTH123  (pathlib is a megabyte)
        name.write(NAME)


def run() -> None:
    """Serve until the parent has gone."""
    try:
        _serve()
    except (EOFError, ConnectionError):
        pass


def _serve() -> None:
    _prepare()
    try:
        library = _load()
    except OSError:
        _answer(good=False, said=_MISSING)
        return
    _answer(good=True, said=b"")
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    line = select.poll()
    line.register(_LINE, select.POLLIN)
    while True:
        _rest(line)
        lengths = REQUEST.unpack(_receive(REQUEST.size))
        path, commands = (_receive(length) for length in lengths)
        good, said = _run_inside(library, home, path, commands) if path else _run(library, commands)
        _answer(good=good, said=said)
