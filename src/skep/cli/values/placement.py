"""Placement preferences and generic resources."""

from __future__ import annotations

from typing import Any

_PACKED = ("cpu", "memory")


def parse_preference(text: str) -> dict[str, Any]:
    """`spread=node.labels.zone`, or skep's own `binpack=cpu|memory`, as a PlacementPreference."""
    strategy, equals, argument = text.partition("=")
    if not equals:
        raise ValueError('placement preference must be of the format "<strategy>=<arg>"')
    if strategy == "spread":
        return {"Spread": {"SpreadDescriptor": argument}}
    if strategy != "binpack":
        raise ValueError(f"unsupported placement preference {strategy}: use spread or binpack")
    if argument not in _PACKED:
        raise ValueError(f'binpack takes cpu or memory, not "{argument}"')
    return {"Binpack": argument}


def preference_text(preference: dict[str, Any]) -> str:
    """The notation that `parse_preference` reads."""
    if spread := preference.get("Spread"):
        return f"spread={spread['SpreadDescriptor']}"
    return f"binpack={preference.get('Binpack', '')}"


def parse_generic_resource(text: str) -> dict[str, Any]:
    """`gpu=2` as a GenericResource; services ask for numbers, never for named ones."""
    kind, equals, count = text.partition("=")
    if not equals or not kind:
        raise ValueError(f"incorrect term {text}, missing '=' or malformed expression")
    if not count.isdecimal():
        raise ValueError(
            f"invalid generic-resource request `{text}`, Named Generic Resources is not "
            "supported for service create or update"
        )
    return {"DiscreteResourceSpec": {"Kind": kind, "Value": int(count)}}


def generic_kind(resource: dict[str, Any]) -> str:
    """The kind of a GenericResource, discrete or named."""
    found = resource.get("DiscreteResourceSpec") or resource.get("NamedResourceSpec") or {}
    return str(found.get("Kind", ""))
