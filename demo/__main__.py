"""`make demo` is `python -m demo up`, `make demo-stop` is `python -m demo down`."""

from __future__ import annotations

import os
import subprocess
import sys

from demo import story

_VERBS = {"up": story.up, "down": story.down}


def main(words: list[str]) -> int:
    if len(words) != 1 or words[0] not in _VERBS:
        print("usage: python -m demo up|down", file=sys.stderr)
        return 2
    if os.geteuid():
        print("the demo runs real containers: run it as root (sudo make demo)", file=sys.stderr)
        return 1
    try:
        _VERBS[words[0]]()
    except subprocess.CalledProcessError as error:
        print(f"the demo stopped: a command failed with exit code {error.returncode}")
        print("What was made so far runs on; `make demo-stop` removes it.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
