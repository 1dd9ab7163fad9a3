"""Constraints and preferences."""

from __future__ import annotations

from skep.kit.errors import InvalidArgument
from skep.manager.constraint import parse
from skep.model.service import Placement, PlacementPreference


def check_placement(placement: Placement) -> None:
    parse(placement.constraints)
    for preference in placement.preferences:
        _check_preference(preference)
    if sum(bool(preference.binpack) for preference in placement.preferences) > 1:
        raise InvalidArgument("only one placement preference can be binpack")


def _check_preference(preference: PlacementPreference) -> None:
    """A spread over what no node has, or over nothing, is taken and means nothing, as in Swarm."""
    if preference.spread is not None and preference.binpack:
        raise InvalidArgument("a placement preference is either a spread or a binpack")
