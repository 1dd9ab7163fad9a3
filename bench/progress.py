"""A line now and then for whoever waits."""

from __future__ import annotations

import sys
import time

_BEGIN = time.monotonic()


def say(sentence: str) -> None:
    print(f"[{time.monotonic() - _BEGIN:4.0f} s] {sentence}", file=sys.stderr, flush=True)
