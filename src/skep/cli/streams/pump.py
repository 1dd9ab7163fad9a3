"""Copies both ways between this terminal and an upgraded connection, until one side ends it."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from skep.cli.client.wire import Wire
from skep.cli.streams.keys import DetachKeys
from skep.cli.streams.stdcopy import STDERR, SYSTEM_ERROR, Frames

_READ_SIZE = 32 * 1024


class Ends(NamedTuple):
    """What is connected. `stdin` is a descriptor or None; `framed` when stdout and stderr share
    the connection in frames; `keys` watch what is typed on a terminal."""

    stdin: int | None
    out: BinaryIO | None
    err: BinaryIO | None
    framed: bool
    keys: DetachKeys | None = None


def pump(
    wire: Wire, ends: Ends, signals: socket.socket, on_signal: Callable[[signal.Signals], None]
) -> bool:
    """Copy until the daemon closes the connection (False) or the detach keys were typed (True).

    `signals` is read for signal numbers (see terminal.caught), each handed to `on_signal`.
    """
    return _Pump(wire, ends, signals, on_signal).run()


class _Pump:
    def __init__(
        self,
        wire: Wire,
        ends: Ends,
        signals: socket.socket,
        on_signal: Callable[[signal.Signals], None],
    ) -> None:
        self._wire = wire
        self._ends = ends
        self._signals = signals
        self._on_signal = on_signal
        self._frames = Frames() if ends.framed else None
        self._reading = [wire.socket.fileno(), signals.fileno()]
        if ends.stdin is not None:
            self._reading.append(ends.stdin)

    def run(self) -> bool:
        if self._wire.ahead:
            self._received(self._wire.some())
        while True:
            ready, _, _ = select.select(self._reading, [], [])
            if self._signals.fileno() in ready:
                for number in self._signals.recv(_READ_SIZE):
                    self._on_signal(signal.Signals(number))
            if self._wire.socket.fileno() in ready:
                piece = self._wire.some(_READ_SIZE)
                if not piece:
                    return False
                self._received(piece)
            if self._ends.stdin is not None and self._ends.stdin in ready and self._typed():
                return True

    def _typed(self) -> bool:
        """Hand on what was typed; True when it was the detach keys."""
        assert self._ends.stdin is not None
        try:
            typed = os.read(self._ends.stdin, _READ_SIZE)
        except OSError:
            typed = b""
        if not typed:
            self._reading.remove(self._ends.stdin)
            self._send_end()
            return False
        detached = False
        if self._ends.keys:
            typed, detached = self._ends.keys.feed(typed)
        try:
            self._wire.socket.sendall(typed)
        except ConnectionError:
            self._reading.remove(self._ends.stdin)
        return detached

    def _send_end(self) -> None:
        try:
            self._wire.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _received(self, piece: bytes) -> None:
        if self._frames is None:
            _write(self._ends.out, piece)
            return
        for stream, payload in self._frames.feed(piece):
            _write(self._ends.err if stream in (STDERR, SYSTEM_ERROR) else self._ends.out, payload)


def _write(target: BinaryIO | None, piece: bytes) -> None:
    if target is not None:
        target.write(piece)
        target.flush()
