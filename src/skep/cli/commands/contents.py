"""What a secret or config is made of: a file, or standard input."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

from skep.cli.errors import Failure


def read_content(path: str) -> str:
    """The bytes at `path` (`-`: standard input) in base64, as the API takes them."""
    if path == "-":
        return base64.b64encode(sys.stdin.buffer.read()).decode()
    try:
        return base64.b64encode(Path(path).read_bytes()).decode()
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise Failure(f'Error reading content from "{path}": open {path}: {reason}') from None
