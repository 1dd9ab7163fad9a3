"""The command line `skep`. It speaks to the daemon through the Engine API alone.

Everything is imported when it is needed: `skep service ls` must answer at once.
"""

from __future__ import annotations


def main() -> None:
    """The console script; ends the process with the command's exit code."""
    import sys

    from skep.cli.app import run

    sys.exit(run(sys.argv[1:]))
