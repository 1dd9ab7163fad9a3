"""What a process of ours does with memory that it no longer needs."""

from __future__ import annotations

import subprocess
import sys

_USE_AND_FREE = """
import sys, threading
from skep.kit.memory import return_what_is_freed

def resident_mib():
    return int(open("/proc/self/statm").read().split()[1]) * 4 / 1024

if sys.argv[1] == "told":
    return_what_is_freed()

def work():
    large = bytearray(24 << 20)
    del large  # from here on glibc takes blocks up to this size from its heap
    blocks = [bytearray(100_000) for _ in range(100)]
    kept.append(blocks.pop())

kept, before = [], resident_mib()
for _ in range(4):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(resident_mib() - before)
"""


def grown_mib(how: str) -> float:
    argv = [sys.executable, "-c", _USE_AND_FREE, how]
    return float(subprocess.run(argv, capture_output=True, check=True, text=True).stdout)


def test_freed_memory_goes_back_to_the_kernel() -> None:
    told, untold = grown_mib("told"), grown_mib("untold")
    assert told < 2
    assert untold > 4 * told
