"""Signals by name or number, as `docker kill` takes them."""

from __future__ import annotations

import signal

from skep.kit.numbers import parse_int, shortened
from skep.model.rules import Broken

DEFAULT_STOP = "SIGTERM"
_RT = {"RTMIN": int(signal.SIGRTMIN), "RTMAX": int(signal.SIGRTMAX)}


def parse_signal(text: str) -> int:
    """ "KILL", "SIGKILL", "sigkill", "9", "RTMIN+3". Raises Broken in docker's words."""
    name = text.upper().removeprefix("SIG")
    try:
        if text[:1].isdigit():
            return parse_int(text, 1, signal.NSIG - 1)
        for base, number in _RT.items():
            offset = name.removeprefix(base)
            if offset != name and offset[:1] in ("", "+", "-"):
                low, high = _RT["RTMIN"] - number, _RT["RTMAX"] - number
                return number + parse_int(offset or "0", low, high)
        return int(signal.Signals[f"SIG{name}"])
    except (KeyError, ValueError):
        raise Broken("signal", f"invalid signal: {shortened(text)}", text=shortened(text)) from None
