"""The door to nftables: text in, one transaction, error text out.

libnftables runs in a process of its own (`nft_child.py` says why), so this one may have any number
of files open, and outlives whatever ends that one. A transaction takes the kernel 0.5 ms and up,
and the way there and back 0.1: use it in a worker thread.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from skep.kit.errors import Internal, Unavailable
from skep.network import nft_child

_RUN = "import sys; sys.path.append(sys.argv[1]); import nft_child; nft_child.run()"
"""Imported, not run as a script: to compile it would take half a megabyte for ever."""
_PROGRAM = (sys.executable, "-I", "-S", "-c", _RUN, str(Path(nft_child.__file__).parent))
_LONGEST_QUOTE = 300
_ANSWER_TIMEOUT_S = 60.0
"""The largest tables take a second."""
_END_TIMEOUT_S = 5.0


class Nft:
    """Changes rules in the namespace of the thread that makes it, for one caller at a time."""

    def __init__(self, owner: str = "") -> None:
        """`owner` stands in the process's command line, for who looks at it.

        Raises Unavailable when the library is not installed.
        """
        self._program = (*_PROGRAM, owner)
        self._turn = threading.Lock()
        self._line, self._process = _start(self._program)

    def run(self, commands: str, namespace: Path | None = None) -> str:
        """Carry out all commands or none; returns what they print.

        namespace   where one is bound: there instead.
        Raises Internal with nft's words and the line that it stumbled over.
        """
        path = str(namespace or "").encode()
        text = commands.encode()
        with self._turn:
            try:
                self._line.sendall(nft_child.REQUEST.pack(len(path), len(text)) + path + text)
                failed, said = _answer(self._line)
            except (OSError, EOFError) as error:
                raise Internal(f"nftables: {self._start_anew(error)}") from None
        if failed:
            raise Internal(f"nftables refused: {said[:_LONGEST_QUOTE]}")
        return said

    def _start_anew(self, error: OSError | EOFError) -> str:
        """A library that failed us gets a new process; what it was doing may be done or not."""
        self._process.kill()
        code = self._process.wait()
        self._line.close()
        self._line, self._process = _start(self._program)
        if isinstance(error, TimeoutError):
            return f"no answer within {_ANSWER_TIMEOUT_S:g} s"
        return f"the library's process ended ({code})"

    def close(self) -> None:
        """Idempotent."""
        self._line.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_TIMEOUT_S)
            return
        self._process.kill()
        self._process.wait()


def _start(program: tuple[str, ...]) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(_ANSWER_TIMEOUT_S)
    try:
        with theirs:
            process = subprocess.Popen(
                program, stdin=theirs.fileno(), start_new_session=True, cwd="/"
            )
    except OSError as error:
        ours.close()
        raise Unavailable(f"the process of libnftables does not start: {error}") from None
    try:
        missing, said = _answer(ours)
        if not missing:
            return ours, process
    except (OSError, EOFError):
        said = "the process of libnftables does not start: see what it said in the log"
    process.kill()
    process.wait()
    ours.close()
    raise Unavailable(said)


def _answer(line: socket.socket) -> tuple[bool, str]:
    """Whether it failed, and what was said."""
    failed, length = nft_child.ANSWER.unpack(_receive(line, nft_child.ANSWER.size))
    return bool(failed), _receive(line, length).decode(errors="replace")


def _receive(line: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = line.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data
