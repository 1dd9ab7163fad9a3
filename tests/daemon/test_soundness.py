"""The watch over all tests of daemons notices what it is there for."""

from __future__ import annotations

import os
import signal

import pytest

from skep.testing.daemon import DaemonHost, until
from skep.testing.soundness import faults, loud_records

QUIET = "time=2026-11-27T10:00:00.000 level=INFO room=skep ready\n"
LOUD = """time=2026-11-27T10:00:01.000 level=ERROR room=skep.x the part failed
Traceback (most recent call last):
  File "x.py", line 1, in x
ZeroDivisionError: division by zero
"""
UNSEEN = (
    "time=2026-11-27T10:00:02.000 level=ERROR room=asyncio Task exception was never retrieved\n"
)


def test_records_that_tell_of_a_fault_are_found_whole() -> None:
    found = loud_records(QUIET + LOUD + QUIET + UNSEEN, [])
    assert found == [f"in the log: {LOUD.strip()}", f"in the log: {UNSEEN.strip()}"]


def test_records_that_a_test_provoked_are_passed_over() -> None:
    assert loud_records(QUIET + LOUD + UNSEEN, ["the part failed"]) == [
        f"in the log: {UNSEEN.strip()}"
    ]


def test_a_fault_is_told_once(host: DaemonHost) -> None:
    with host.log_path.open("a") as log:
        log.write(LOUD)
    assert len(faults(host)) == 1
    assert faults(host) == []


def test_a_container_that_is_said_to_run_without_its_conmon_is_told(
    host: DaemonHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skep.testing.soundness._PATIENCE_S", 0.1)
    host.ok("run", "-d", "--name", "lone", "web:1", "sleep", "600")
    assert faults(host) == []
    bundle = host.exec_root / "bundles" / host.ok("inspect", "-f", "{{.Id}}", "lone")
    conmon = int((bundle / "conmon.pid").read_text())
    (bundle / "conmon.pid").write_text("0")
    assert len(faults(host)) == 1
    os.kill(conmon, signal.SIGKILL)
    until(lambda: not faults(host))
