"""Found by the suite: two containers that were created at once crashed a fresh daemon (SIGSEGV).
msgspec looks at a struct when it is first read; a second thread that reads it meanwhile follows a
null pointer."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROGRAM = """
import sys, threading
import msgspec
import skep.daemon.main as daemon
from skep.engine.containers.record import Record

daemon.serve = lambda *_: None
RECORD = b'''{"id": "a", "name": "b", "created_at": "2026-01-01T00:00:00Z", "image_id": "i",
    "argv": ["a"], "config": {"Image": "x", "Healthcheck": {"Test": ["a"]}},
    "host_config": {"NetworkMode": "x", "RestartPolicy": {"Name": "no"}}}'''
together = threading.Barrier(8)

def read():
    together.wait()
    try:
        msgspec.json.decode(RECORD, type=Record)
    except msgspec.ValidationError:
        pass

def run(self, main):
    "In the place of the daemon's loop."
    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    print("alive")
    return True

daemon.asyncio.Runner.run = run
sys.setswitchinterval(1e-6)
folder = sys.argv[1]
daemon._into_memory = lambda exec_root: exec_root.mkdir()
settings = daemon.DaemonSettings(data_root=folder + "/data", exec_root=folder + "/exec", pidfile="")
sys.exit(daemon.main(settings))
"""


def test_threads_may_read_the_same_struct_first(tmp_path: Path) -> None:
    """A chance of one in four for each daemon without the mending."""

    def run(number: int) -> tuple[int, str]:
        folder = tmp_path / str(number)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(folder)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr[-1000:]

    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(run, range(4)))
    assert ended == [(0, "alive\n")] * 4
