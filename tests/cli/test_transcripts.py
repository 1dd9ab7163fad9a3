"""What dockerd answered once, and what docker's own client said then: skep says the same.

`recorded.json` is made by record.py. Where skep says more than docker (what to do about it), the
case stands in BETTER with the words of skep.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("recorded.json").read_text())

BETTER = {
    "service scale web": "write SERVICE=REPLICAS",
    "ps -n": "flag needs an argument: 'n' in -n",
    "service": "Usage:  skep service COMMAND",
    "service foo": "skep: unknown command: skep service foo",
    "run": "skep: 'skep run' requires at least 1 argument",
}
"""Where only this part of what is said is compared."""


def _name(case: dict[str, Any]) -> str:
    return shlex.join(case["words"])


def _as_skep(text: str) -> str:
    return text.replace("Docker", "skep").replace("docker", "skep")


@pytest.mark.parametrize("case", RECORDED["cases"], ids=_name)
def test_says_what_docker_says(
    case: dict[str, Any], daemon: Any, answer: Callable[..., Any], skep: Callable[..., Any]
) -> None:
    for key, recorded in RECORDED["calls"].items():
        daemon.answer(key, answer(recorded))
    result = skep(*case["words"], now=datetime.fromisoformat(case["now"]))
    if _name(case) in BETTER:
        assert BETTER[_name(case)] in result.out + result.err
        assert result.code == case["code"]
        return
    if case["words"][0] == "images":
        # docker lists the names of one image in no order.
        assert sorted(result.out.splitlines()) == sorted(case["out"].splitlines())
    else:
        assert _as_skep(result.out) == _as_skep(case["out"])
    assert _as_skep(result.err) == _as_skep(case["err"])
    assert result.code == case["code"]
