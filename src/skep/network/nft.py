"""The door to nftables: libnftables through ctypes, text in, one transaction, error text out.

A context talks to the network namespace of the thread that made it, for ever. It blocks (a
transaction takes the kernel 0.5 ms and up): use it in a worker thread, one at a time.
"""

from __future__ import annotations

import ctypes
import functools

from skep.kit.errors import Internal, Unavailable

_LIBRARY = "libnftables.so.1"
_LONGEST_QUOTE = 300


@functools.cache
def _library() -> ctypes.CDLL:
    """Loaded when first needed. Raises Unavailable when it is not installed."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        raise Unavailable(
            f"{_LIBRARY} is not installed: install the package libnftables1 (or nftables)"
        ) from None
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_free.argtypes = [ctypes.c_void_p]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for buffer in ("output", "error"):
        getattr(library, f"nft_ctx_buffer_{buffer}").argtypes = [ctypes.c_void_p]
        get = getattr(library, f"nft_ctx_get_{buffer}_buffer")
        get.argtypes, get.restype = [ctypes.c_void_p], ctypes.c_char_p
    return library


class Nft:
    """One nftables context; not for two threads at once."""

    def __init__(self) -> None:
        self._library = _library()
        self._context = self._library.nft_ctx_new(0)
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def run(self, commands: str) -> str:
        """Carry out all commands or none; returns what they print.

        Raises Internal with nft's words and the line that it stumbled over.
        """
        failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output: bytes = self._library.nft_ctx_get_output_buffer(self._context)
        error: bytes = self._library.nft_ctx_get_error_buffer(self._context)
        if failed:
            raise Internal(f"nftables refused: {error.decode().strip()[:_LONGEST_QUOTE]}")
        return output.decode()

    def close(self) -> None:
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = None
