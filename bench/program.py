"""A program in a network namespace, started and ended by its pid."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_END_S = 20.0


class Program:
    """Runs until `stop`. What it says goes to `log`."""

    def __init__(
        self, argv: Sequence[str], namespace: int, log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as said:
            self._process = subprocess.Popen(
                ["nsenter", f"--net=/proc/self/fd/{namespace}", "--", *argv],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                pass_fds=[namespace],
                start_new_session=True,
                env={**os.environ, **(env or {})},
            )

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-1000:]

    def stop(self) -> None:
        """SIGTERM and, after a while, SIGKILL."""
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def kill_all(pids: Sequence[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
