"""SIGTERM ends a daemon, whatever it does at that moment."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from skep.testing.daemon import until

_DAEMON = """
import asyncio, sys, time
from skep.daemon import run
from skep.engine import Engine

how, folder = sys.argv[1:]
if how == "a thread that hangs in the kernel":
    async def stop(self):
        await asyncio.to_thread(time.sleep, 600)
    Engine.stop = stop
elif how == "a start without end":
    async def start(self):
        print("starting", flush=True)
        await asyncio.sleep(600)
    Engine.start = start
else:
    async def stop(self):
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                pass
    Engine.stop = stop
sys.exit(run({
    "hosts": [f"unix://{folder}/s.sock"], "data-root": f"{folder}/data",
    "exec-root": f"{folder}/run", "shutdown-timeout": 1,
}))
"""


def test_a_daemon_that_cannot_end_properly_ends(tmp_path: Path) -> None:
    """It says where it hangs. All at once, since each takes its time."""
    with ExitStack() as daemons:
        stuck = [
            daemons.enter_context(_Daemon(how, tmp_path / str(number)))
            for number, how in enumerate(
                (
                    "a thread that hangs in the kernel",
                    "a start without end",
                    "work that cannot be cancelled",
                )
            )
        ]
        for daemon in stuck:
            until(daemon.is_up)
            daemon.process.send_signal(signal.SIGTERM)
        for daemon in stuck:
            assert daemon.process.wait(20) == 1
            assert "Timeout" in daemon.log()
            assert "most recent call first" in daemon.log()


class _Daemon:
    def __init__(self, how: str, folder: Path) -> None:
        folder.mkdir()
        self._log = folder / "log"
        command = ["unshare", "-n", "-m", sys.executable, "-c", _DAEMON, how, str(folder)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def __enter__(self) -> _Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        return self._log.read_text()

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.log()
        return any(word in self.log() for word in ("ready on", "starting"))
