"""How much memory a process that runs for months keeps: as little as it uses."""

from __future__ import annotations

import ctypes
import gc

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE = 64 * 1024


def calm_collector() -> None:
    """What was imported stays for ever: never look at it again. And look rarely: the objects kept
    here are values without circles, and a look in the middle of fifty starts is paid by all.

    A look at the young costs 2 ms, one at those that outlived it 20 ms: they are at most 200,000.
    """
    gc.freeze()
    gc.set_threshold(20_000, 10, 50)


def return_what_is_freed() -> None:
    """Give freed memory back to the kernel at once, and keep one heap for all threads.

    glibc keeps a heap for each thread and, after the first large block, holes of that size: 8 MiB
    of a daemon's 63 (mallopt(3)). Threads here take turns anyway. Another libc has no such knobs.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_TRIM_THRESHOLD, _LARGE)
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
