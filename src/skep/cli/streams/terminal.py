"""This process's terminal: raw mode, its size, and the signals that should go elsewhere."""

from __future__ import annotations

import os
import signal
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_KEPT = frozenset(
    (signal.SIGCHLD, signal.SIGPIPE, signal.SIGURG, signal.SIGKILL, signal.SIGSTOP, signal.SIGWINCH)
)


@contextmanager
def raw(descriptor: int) -> Iterator[None]:
    """The terminal hands over every key as it is pressed; put back at the end, come what may."""
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def size() -> tuple[int, int]:
    """Lines and columns; zeros where standard output is no terminal."""
    try:
        columns, lines = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        return 0, 0
    return lines, columns


def forwardable() -> set[signal.Signals]:
    """The signals that --sig-proxy hands on."""
    real_time = range(signal.SIGRTMIN, signal.SIGRTMAX + 1)
    return {
        each
        for each in signal.valid_signals()
        if isinstance(each, signal.Signals) and each not in _KEPT and each not in real_time
    }


@contextmanager
def caught(signals: set[signal.Signals]) -> Iterator[socket.socket]:
    """While inside, `signals` do nothing but write their number to the socket that this gives."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    previous_descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    previous = {each: signal.signal(each, _nothing) for each in signals}
    try:
        yield reader
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
        signal.set_wakeup_fd(previous_descriptor)
        reader.close()
        writer.close()


def _nothing(number: int, frame: FrameType | None) -> None:
    """The wakeup socket has the number already."""
