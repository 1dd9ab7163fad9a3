"""Placement constraints: which nodes they let through, and how a malformed one is refused."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from skep.kit.errors import InvalidArgument
from skep.manager.constraint import matches, parse
from skep.model.node import EngineDescription, Node
from skep.model.service import Platform
from skep.testing.builders import node


def _machine() -> Node:
    bare = node("n1", labels={"zone": "East", "cores": "16", "ssd": ""})
    description = replace(
        bare.description,
        platform=Platform(architecture="x86_64", os="linux"),
        engine=EngineDescription(labels={"kernel": "6.1"}),
    )
    status = replace(bare.status, addr="10.0.3.4")
    return replace(bare, description=description, status=status, certificate_role="manager")


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("node.id==n1", True),
        ("node.id == N1", True),
        ("node.hostname!=n1", False),
        ("NODE.ROLE==Manager", True),
        ("node.role!=manager", False),
        ("node.platform.os==linux", True),
        ("node.platform.arch==amd64", False),
        ("node.labels.zone==east", True),
        ("node.labels.Zone==east", False),
        ("node.labels.rack==", None),
        ("node.labels.rack!=a", True),
        ("engine.labels.kernel==6.1", True),
        ("node.ip==10.0.3.4", True),
        ("node.ip==10.0.0.0/16", True),
        ("node.ip!=10.0.0.0/16", False),
        ("node.ip==nonsense", False),
        ("node.ip!=nonsense", False),
        ("node.color==red", False),
        ("node.color!=red", False),
        ("node.labels.zone in (west, east)", True),
        ("node.labels.zone in(west)", False),
        ("node.labels.zone notin (west,north)", True),
        ("node.labels.rack notin (a)", True),
        ("node.labels.cores > 15.5", True),
        ("node.labels.cores>16", False),
        ("node.labels.cores < 100", True),
        ("node.labels.zone > 1", False),
        ("node.labels.rack < 1", False),
        ("node.labels.ssd exists", True),
        ("node.labels.hdd exists", False),
        ("node.labels.hdd !exists", True),
        ("node.labels.ssd !exists", False),
        ("node.color !exists", False),
    ],
)
def test_an_expression_lets_a_node_through_or_not(expression: str, holds: bool | None) -> None:
    if holds is None:
        with pytest.raises(InvalidArgument):
            parse([expression])
    else:
        assert matches(parse([expression]), _machine()) is holds


def test_all_constraints_must_be_met() -> None:
    both = parse(["node.labels.zone==east", "node.role==worker"])
    assert not matches(both, _machine())
    assert matches((), _machine())


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("node.id", "constraint expected one operator from ==, !=, in, notin, >, <, exists, !exis"),
        ("no de==1", "key 'no de' is invalid"),
        ("==1", "key '' is invalid"),
        ("node.labels.a==b=c", "value 'b=c' is invalid"),
        ("node.labels.a==", "value '' is invalid"),
        ("node.labels.a > many", "value 'many' is invalid"),
        ("node.labels.a in (b,)", "value '' is invalid"),
        ("node.id" + " " * 1000 + "in x", "a constraint must have 1000 characters or fewer"),
    ],
)
def test_a_malformed_expression_is_refused_in_words(expression: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse([expression])
    assert str(refusal.value).startswith(message)
