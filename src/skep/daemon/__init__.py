"""Wires one node together and runs it: `skep daemon`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skep.daemon.settings import DaemonSettings, read_settings

__all__ = ["DaemonSettings", "read_settings", "run"]


def run(flags: dict[str, Any], config_file: Path | None = None) -> int:
    """Run a daemon until it is told to stop; gives its exit code.

    `flags` holds what was given on the command line, by the keys of daemon.json ("data-root").
    Raises InvalidArgument for settings that make no sense, before anything is touched.
    """
    from skep.daemon.main import main

    return main(read_settings(flags, config_file))
