"""Each kind of refusal is said once; floods are said as numbers."""

from __future__ import annotations

import pytest

from skep.protocol import refusals
from skep.protocol.refusals import QUIET_S, Refusals


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_flood_is_one_line_and_later_a_number(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    said = Refusals(clock)
    for number in range(1000):
        said.say("10.0.0.9", "no TLS", f"detail {number}")
    said.say("10.0.0.8", "no TLS")
    said.say("10.0.0.9", "expired")
    clock.now = QUIET_S - 1
    said.flush()
    assert caplog.messages == [
        "refused 10.0.0.9: no TLS: detail 0",
        "refused 10.0.0.8: no TLS",
        "refused 10.0.0.9: expired",
    ]
    caplog.clear()
    clock.now = QUIET_S
    said.flush()
    said.flush()
    said.say("10.0.0.9", "no TLS")
    assert caplog.messages == [
        "refused 10.0.0.9 999 times more within a minute: no TLS",
        "refused 10.0.0.9: no TLS",
    ]


def test_a_flood_from_everywhere_is_one_number(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "MAX_REMEMBERED", 2)
    clock = Clock()
    said = Refusals(clock)
    for number in range(10):
        said.say(f"10.0.0.{number}", "no TLS")
    assert caplog.messages == ["refused 10.0.0.0: no TLS", "refused 10.0.0.1: no TLS"]
    caplog.clear()
    clock.now = QUIET_S
    said.flush()
    assert caplog.messages == ["refused 8 calls of many other addresses"]
