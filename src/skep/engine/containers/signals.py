"""Signals by name or number, as `docker kill` takes them."""

from __future__ import annotations

import signal

from skep.kit.errors import InvalidArgument

DEFAULT_STOP = "SIGTERM"
_RT = {"RTMIN": int(signal.SIGRTMIN), "RTMAX": int(signal.SIGRTMAX)}


def parse_signal(text: str) -> int:
    """ "KILL", "SIGKILL", "sigkill", "9", "RTMIN+3". Raises InvalidArgument in docker's words."""
    if text.isascii() and text.isdigit():
        if 0 < int(text) < signal.NSIG:
            return int(text)
        raise InvalidArgument(f"invalid signal: {text}")
    name = text.upper().removeprefix("SIG")
    for base, number in _RT.items():
        offset = name.removeprefix(base)
        if offset != name and (not offset or (offset[0] in "+-" and offset[1:].isdigit())):
            number += int(offset or 0)
            if _RT["RTMIN"] <= number <= _RT["RTMAX"]:
                return number
    if name in signal.Signals.__members__ or f"SIG{name}" in signal.Signals.__members__:
        return int(signal.Signals[f"SIG{name}"])
    raise InvalidArgument(f"invalid signal: {text}")
