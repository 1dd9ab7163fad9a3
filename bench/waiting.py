"""Waiting with an end, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], bool], patience_s: float, complaint: str, every_s: float = 0.02
) -> None:
    """Ask again and again. Raises TimeoutError with the complaint."""
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{complaint} after {patience_s:.0f} s")
        time.sleep(every_s)


def seconds(*steps: Callable[[], object]) -> float:
    """How long the steps take, one after the other."""
    begin = time.perf_counter()
    for step in steps:
        step()
    return time.perf_counter() - begin
