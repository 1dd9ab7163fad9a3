"""Placement constraints: which nodes a service may use.

    node.role == manager            node.labels.zone != east
    node.ip == 10.0.0.0/16          engine.labels.kernel == 6.1
    node.labels.zone in (a, b)      node.labels.zone notin (a, b)
    node.labels.cores > 8           node.labels.cores < 64
    node.labels.ssd exists          node.labels.ssd !exists

`==` and `!=` are Swarm's, with its grammar and its errors (source: swarmkit
manager/constraint/constraint.go); the rest is ours. Values are compared without regard to case. A
missing label is the empty value. A key that nobody knows never matches, whatever the operator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Literal, cast

import msgspec

from skep.kit.errors import InvalidArgument
from skep.model.node import Node

Operator = Literal["==", "!=", "in", "notin", ">", "<", "exists", "!exists"]

_OPERATORS = ("==", "!=", "in", "notin", ">", "<", "exists", "!exists")
_KEY = re.compile(r"[a-z_][a-z0-9\-_.]+", re.IGNORECASE)
_VALUE = re.compile(r"[a-z0-9:\-_\s.*()?+\[\]\\^$|/]+", re.IGNORECASE)
_SHAPES = (
    re.compile(r"(?P<key>.*?)(?P<operator>==)(?P<value>.*)", re.DOTALL),
    re.compile(r"(?P<key>.*?)(?P<operator>!=)(?P<value>.*)", re.DOTALL),
    re.compile(r"(?P<key>.*?\S)\s+(?P<operator>in|notin)\s*\((?P<value>.*)\)\s*"),
    re.compile(r"(?P<key>.*?)(?P<operator>[<>])(?P<value>.*)"),
    re.compile(r"(?P<key>.*?\S)\s+(?P<operator>!?exists)\s*(?P<value>)"),
)
_LONGEST = 1000
_MOST = 256
_NODE_LABELS = "node.labels."
_ENGINE_LABELS = "engine.labels."


class Constraint(msgspec.Struct, frozen=True):
    """One parsed constraint. `values` has one item, several for in and notin, none for exists."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()


def parse(expressions: Sequence[str]) -> tuple[Constraint, ...]:
    """Read constraints; all of them must be met. Raises InvalidArgument in Swarm's words."""
    if len(expressions) > _MOST:
        raise InvalidArgument(f"a service has at most {_MOST} constraints")
    return _parse_all(tuple(expressions))


def matches(constraints: Iterable[Constraint], node: Node) -> bool:
    """Whether the node meets every constraint."""
    return all(_matches(constraint, node) for constraint in constraints)


@lru_cache(maxsize=4096)
def _parse_all(expressions: tuple[str, ...]) -> tuple[Constraint, ...]:
    return tuple(_parse(expression) for expression in expressions)


def _parse(expression: str) -> Constraint:
    if len(expression) > _LONGEST:
        raise InvalidArgument(f"a constraint must have {_LONGEST} characters or fewer")
    for shape in _SHAPES:
        found = shape.fullmatch(expression)
        if found is not None:
            operator = cast(Operator, found["operator"])
            key = _checked_key(found["key"].strip())
            return Constraint(key, operator, _values(operator, found["value"]))
    raise InvalidArgument(f"constraint expected one operator from {', '.join(_OPERATORS)}")


def _checked_key(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise InvalidArgument(f"key '{key}' is invalid")
    return key


def _values(operator: Operator, text: str) -> tuple[str, ...]:
    if operator in ("exists", "!exists"):
        return ()
    parts = text.split(",") if operator in ("in", "notin") else [text]
    values = tuple(part.strip() for part in parts)
    for value in values:
        if not _VALUE.fullmatch(value) or (operator in "<>" and _number(value) is None):
            raise InvalidArgument(f"value '{value}' is invalid")
    return values


def _matches(constraint: Constraint, node: Node) -> bool:
    if constraint.key.lower() == "node.ip":
        return _holds_of_address(constraint, node.status.addr)
    observed = _observed(constraint.key, node)
    return observed is not None and _holds(constraint, observed)


def _observed(key: str, node: Node) -> tuple[str, ...] | None:
    """The node's value for a key as a tuple: empty when it has none, None for an unknown key."""
    folded = key.lower()
    if folded.startswith(_NODE_LABELS):
        return _label(node.spec.labels, key[len(_NODE_LABELS) :])
    if folded.startswith(_ENGINE_LABELS):
        return _label(node.description.engine.labels, key[len(_ENGINE_LABELS) :])
    match folded:
        case "node.id":
            return (node.id,)
        case "node.hostname":
            return (node.description.hostname,)
        case "node.role":
            return (node.certificate_role,)
        case "node.platform.os":
            return (node.description.platform.os,)
        case "node.platform.arch":
            return (node.description.platform.architecture,)
    return None


def _label(labels: Mapping[str, str], name: str) -> tuple[str, ...]:
    return (labels[name],) if name in labels else ()


def _holds(constraint: Constraint, observed: tuple[str, ...]) -> bool:
    value = observed[0] if observed else ""
    match constraint.operator:
        case "==" | "in":
            return _is_one_of(value, constraint.values)
        case "!=" | "notin":
            return not _is_one_of(value, constraint.values)
        case "exists":
            return bool(observed)
        case "!exists":
            return not observed
        case ">" | "<":
            return _compares(value, constraint)


def _is_one_of(value: str, wanted: tuple[str, ...]) -> bool:
    folded = value.lower()
    return any(folded == item.lower() for item in wanted)


def _compares(value: str, constraint: Constraint) -> bool:
    """A value that is not a number is neither greater nor less."""
    number, bound = _number(value), _number(constraint.values[0])
    if number is None or bound is None:
        return False
    return number > bound if constraint.operator == ">" else number < bound


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _holds_of_address(constraint: Constraint, address: str) -> bool:
    """`node.ip` against addresses and networks; what is not an address never matches (Swarm)."""
    try:
        node_address = ip_address(address)
        wanted = [ip_network(value, strict=False) for value in constraint.values]
    except ValueError:
        return False
    inside = any(node_address in network for network in wanted)
    match constraint.operator:
        case "==" | "in":
            return inside
        case "!=" | "notin":
            return not inside
        case "exists":
            return True
        case _:
            return False
