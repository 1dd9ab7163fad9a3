"""Which tasks an update concerns, and what it is called."""

from __future__ import annotations

from typing import Literal

import pytest
from msgspec.structs import replace

from skep.manager.orchestrator.stale import Staleness, what_changed
from skep.model.service import EndpointSpec, PortConfig, ServiceSpec
from skep.testing.builders import node, service, spec, task, view

OLD = service()


def is_stale(new_spec: ServiceSpec, on: str = "n1") -> bool:
    new = replace(service(version=2), spec=new_spec)
    objects = view(new, node("n1", labels={"disk": "ssd"}))
    return Staleness(new, objects).stale(task("a", OLD, on=on))


def published(mode: Literal["", "vip", "dnsrr"], *ports: int) -> EndpointSpec:
    listed = [PortConfig(target_port=port) for port in ports]
    return EndpointSpec(mode=mode, ports=listed)


def forced(count: int) -> ServiceSpec:
    return replace(OLD.spec, task_template=replace(OLD.spec.task_template, force_update=count))


@pytest.mark.parametrize(("new_spec", "stale"), [
    (spec(image="app:2"), True),
    (forced(1), True),
    (replace(OLD.spec, endpoint_spec=published("", 80)), True),
    (replace(OLD.spec, endpoint_spec=published("dnsrr")), True),
    (replace(OLD.spec, endpoint_spec=published("vip")), False),
    (spec(replicas=9), False),
    (spec(labels={"tier": "front"}), False),
    (spec(constraints=["node.labels.disk == ssd"]), False),
    (spec(constraints=["node.labels.disk != ssd"]), True),
    (spec(constraints=["node.labels.disk == ssd"], image="app:2"), True),
])  # fmt: skip
def test_a_task_is_stale_when_what_it_was_made_from_changed(
    new_spec: ServiceSpec, stale: bool
) -> None:
    assert is_stale(new_spec) == stale


def test_a_task_without_a_node_follows_every_change_of_constraints() -> None:
    """It might be pending for ever because of the old ones."""
    assert is_stale(spec(constraints=["node.labels.disk == ssd"]), on="")


@pytest.mark.parametrize(("new_spec", "words"), [
    (spec(image="app:2"), "to image app:2"),
    (forced(1), "by force"),
    (spec(constraints=["node.role == worker"]), "of placement"),
    (replace(OLD.spec, endpoint_spec=published("", 80)), "of endpoint"),
])  # fmt: skip
def test_an_update_is_called_by_what_changed(new_spec: ServiceSpec, words: str) -> None:
    assert what_changed(new_spec, task("a", OLD)) == words
