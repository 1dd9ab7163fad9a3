"""Mounting layers and a writable folder as one tree.

mount(2) takes one page of options. A hundred layers fit by their short links when the data root is
short; where they do not, each layer is opened and named by its descriptor (`/proc/self/fd/9`).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from skep.kit.errors import Internal

_MAX_OPTION_BYTES = os.sysconf("SC_PAGE_SIZE") - 1
_libc = ctypes.CDLL(None, use_errno=True)


def mount_overlay(target: Path, lower: Sequence[Path], upper: Path, work: Path) -> None:
    """Mount `lower` (topmost first) under `upper` at `target`; all folders exist. Blocking.

    Raises Internal with the kernel's reason.
    """
    options = _options([str(path) for path in lower], upper, work)
    with ExitStack() as opened:
        if len(options) > _MAX_OPTION_BYTES:
            options = _options([_by_descriptor(path, opened) for path in lower], upper, work)
        _mount(target, options)


def _by_descriptor(path: Path, opened: ExitStack) -> str:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    opened.callback(os.close, descriptor)
    return f"/proc/self/fd/{descriptor}"


def _options(lower: Sequence[str], upper: Path, work: Path) -> bytes:
    lowerdir = ":".join(_escape(name, ":") for name in lower)
    options = f"lowerdir={lowerdir},upperdir={_escape(upper)},workdir={_escape(work)}"
    return options.encode()


def _escape(path: Path | str, also: str = "") -> str:
    """overlayfs splits options at commas and lower folders at colons, unless escaped."""
    return "".join(f"\\{c}" if c in f"\\,{also}" else c for c in str(path))


def _mount(target: Path, options: bytes) -> None:
    if _libc.mount(b"overlay", os.fsencode(target), b"overlay", 0, options):
        reason = os.strerror(ctypes.get_errno())
        raise Internal(f"cannot mount layers at {target}: {reason}")
