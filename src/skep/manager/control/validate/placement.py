"""Constraints and preferences."""

from __future__ import annotations

from skep.kit.errors import InvalidArgument
from skep.manager.constraint import parse
from skep.model.service import Placement, PlacementPreference

_DESCRIPTORS = ("node.labels.", "engine.labels.")


def check_placement(placement: Placement) -> None:
    parse(placement.constraints)
    for preference in placement.preferences:
        _check_preference(preference)
    if sum(bool(preference.binpack) for preference in placement.preferences) > 1:
        raise InvalidArgument("only one placement preference can be binpack")


def _check_preference(preference: PlacementPreference) -> None:
    spread = preference.spread
    if (spread is None) is not bool(preference.binpack):
        raise InvalidArgument("a placement preference is either a spread or a binpack")
    if spread is None:
        return
    descriptor = spread.spread_descriptor
    if not any(descriptor.startswith(p) and len(descriptor) > len(p) for p in _DESCRIPTORS):
        raise InvalidArgument(
            f'placement preference "{descriptor}" is unknown: spread over node.labels.<name> '
            "or engine.labels.<name>"
        )
