"""Commands as a person would type them, each before its output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_BOLD, _PLAIN = "\033[1m", "\033[0m"


class Transcript:
    """A shell session in `folder`, with this program's `skep` on its PATH."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        programs = Path(sys.executable).parent
        self._environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
        self._colourful = sys.stdout.isatty()

    def tell(self, sentence: str) -> None:
        print(f"\n# {sentence}", flush=True)

    def run(self, command: str) -> None:
        """Raises CalledProcessError when it fails."""
        shown = f"$ {command}"
        print(f"{_BOLD}{shown}{_PLAIN}" if self._colourful else shown, flush=True)
        subprocess.run(["sh", "-ec", command], check=True, cwd=self._folder, env=self._environment)

    def export(self, name: str, value: str) -> None:
        """Set a variable for the commands that follow."""
        self._environment[name] = value
        self.run(f"export {name}={value}")
