"""Two versions of a small web page, as archives for `skep load`: no registry is needed."""

from __future__ import annotations

from pathlib import Path

from skep.testing.images import make_image

VERSIONS = ("1.0", "2.0")

_SERVE = b"""#!/bin/sh
trap 'exit 0' TERM
echo "web $VERSION, answered by $(hostname)" >/www/index.html
echo "web $VERSION serves on port 80"
httpd -f -v -p 80 -h /www &
wait
"""
"""busybox's httpd; the shell before it ends at once when the task is told to stop."""


def build(folder: Path) -> None:
    """Write `web-1.0.tar` and `web-2.0.tar`."""
    for version in VERSIONS:
        make_image(
            folder / f"web-{version}.tar",
            f"web:{version}",
            files={"serve": _SERVE},
            cmd=["/serve"],
            env={"VERSION": version},
        )
