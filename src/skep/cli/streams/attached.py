"""One attached process, container or exec: terminal set up, bytes copied, signals handed on."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack

from skep.cli.client.wire import Wire
from skep.cli.errors import ApiFailure, Failure
from skep.cli.session import Session
from skep.cli.streams.keys import DetachKeys, parse_keys
from skep.cli.streams.pump import Ends, pump
from skep.cli.streams.terminal import caught, forwardable, raw, size

Resize = Callable[[int, int], object]
Forward = Callable[[str], None]


class Attachment:
    """What of this process is connected to a container's."""

    def __init__(
        self,
        session: Session,
        *,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        tty: bool,
        detach_keys: str = "",
    ) -> None:
        if tty and stdin and not session.in_is_terminal:
            raise Failure("the input device is not a TTY: leave -t out, or run in a terminal")
        self.tty = tty
        self._session = session
        self._stdin = stdin
        self._stdout = stdout
        self._stderr = stderr
        self._keys = read_keys(session, detach_keys)

    @property
    def streams(self) -> dict[str, bool]:
        """The query of an attach call: which streams to connect."""
        wanted = {"stdin": self._stdin, "stdout": self._stdout, "stderr": self._stderr}
        return {name: True for name, on in wanted.items() if on}

    def run(
        self,
        wire: Wire,
        *,
        resize: Resize,
        forward: Forward | None,
        before: Callable[[], object] | None = None,
    ) -> bool:
        """Copy until the end; True when the person left with the detach keys.

        `before` is called once all is ready (it starts the container); `forward` gets the names
        of signals that this process was sent.
        """
        descriptor = sys.stdin.fileno() if self._stdin else None
        as_terminal = self.tty and self._stdin
        with ExitStack() as stack:
            wanted = {signal.SIGWINCH} if self.tty else set()
            wanted |= forwardable() if forward and not self.tty else set()
            signals = stack.enter_context(caught(wanted))
            if before:
                before()
            if as_terminal and descriptor is not None:
                stack.enter_context(raw(descriptor))
            if self.tty:
                self._resize(resize)
            ends = Ends(
                descriptor,
                self._session.out if self._stdout else None,
                self._session.err if self._stderr else None,
                framed=not self.tty,
                keys=DetachKeys(self._keys) if as_terminal else None,
            )

            def on_signal(number: signal.Signals) -> None:
                if number == signal.SIGWINCH:
                    self._resize(resize)
                elif forward:
                    forward(number.name.removeprefix("SIG"))

            detached = pump(wire, ends, signals, on_signal)
        if detached:
            self._session.complain("read escape sequence")
        return detached

    def _resize(self, resize: Resize) -> None:
        lines, columns = size()
        if lines and columns:
            try:
                resize(lines, columns)
            except ApiFailure:
                pass  # It may have ended already; the next thing that is read says so.


def read_keys(session: Session, text: str) -> bytes:
    """The detach keys: the flag's, else the config file's, else docker's."""
    try:
        return parse_keys(text or session.settings.text("detachKeys"))
    except ValueError as error:
        raise Failure(str(error)) from None
