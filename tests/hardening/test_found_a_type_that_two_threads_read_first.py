"""Found on the way, in our own mending of H3: msgspec ends the process (SIGSEGV) when several
threads are the first to decode one type at the same time. The daemon reads images, layers and
records in threads: what it reads there has a decoder that was made before."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import sys, threading
from pathlib import Path
{imports}

sys.setswitchinterval(1e-6)
threads_are_there = threading.Barrier(8)

def read():
    threads_are_there.wait()
    try:
        {call}
    except Exception:
        pass

threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""

_READERS = {
    "an image's document": (
        "from skep.engine.images.records import parse_document",
        "parse_document(b'{}')",
    ),
    "a manifest": (
        "from skep.engine.images.manifests import parse_manifest",
        "parse_manifest(b'{}')",
    ),
    "a container's record": (
        "from skep.engine.containers import record as r\n"
        "from skep.model.container import ContainerConfig, HostConfig\n"
        "from skep.kit.clock import utc_now\n"
        "one = r.Record(id='a', name='b', created_at=utc_now(), image_id='', argv=('x',),"
        " config=ContainerConfig(), host_config=HostConfig())",
        "r._check(one)",
    ),
}


@pytest.mark.parametrize("kind", _READERS)
def test_it_is_read_by_eight_threads_at_once(kind: str) -> None:
    imports, call = _READERS[kind]
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM.format(imports=imports, call=call)],
            capture_output=True, check=False, text=True,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
