"""What a volume is made of."""

from __future__ import annotations

from collections.abc import Mapping

from skep.model.rules import Broken

_OPTIONS = frozenset({"type", "o", "device"})


def check_volume_options(name: str, options: Mapping[str, str]) -> None:
    """Of the local driver: what mount(8) is told (source: moby volume/local, validateOpts)."""
    for option in options:
        if option not in _OPTIONS:
            raise Broken(
                "volume option",
                f"create {name}: invalid option: {option!r}: use type, o or device",
            )
    missing = [option for option in ("type", "device") if options and option not in options]
    if missing:
        raise Broken("volume option", f"create {name}: missing required option: {missing[0]!r}")
