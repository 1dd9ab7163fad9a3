"""The `filters` query parameter: both of docker's notations, and what they choose in a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from skep.api import choices, filters
from skep.engine.queries import ContainerQuery, ImageQuery
from skep.kit.errors import InvalidArgument
from skep.kit.labels import LabelQuery, has_labels
from skep.model.network import NetworkResource
from skep.model.states import TaskState
from skep.model.volume import Volume
from skep.testing.builders import node, service, task

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("{}", {}),
        ('{"name": {"web": true, "db": false}}', {"name": frozenset({"web"})}),
        ('{"name": ["web", "db"]}', {"name": frozenset({"web", "db"})}),
    ],
)
def test_both_notations_are_read(text: str, expected: filters.Filters) -> None:
    assert filters.parse_filters(text) == expected


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '"name"', '{"name": "web"}', '{"name": [1]}', '{"name": {"web": 1}}', "[" * 9999],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid filters"):
        filters.parse_filters(text)


@pytest.mark.parametrize(
    ("wishes", "holds"),
    [
        (["a"], True),
        (["a=1"], True),
        (["a="], False),
        (["a=2"], False),
        (["a", "b="], True),
        (["a", "c"], False),
        ([], True),
    ],
)
def test_all_labels_must_be_there(wishes: list[str], holds: bool) -> None:
    assert has_labels({"a": "1", "b": ""}, wishes) is holds


@pytest.mark.parametrize(
    ("given", "truth"), [(["true"], True), (["1"], True), (["False"], False), ([], None)]
)
def test_truth_values(given: list[str], truth: bool | None) -> None:
    assert filters.boolean({"dangling": frozenset(given)}, "dangling") is truth


def test_a_truth_value_and_its_opposite_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="invalid filter 'dangling="):
        filters.boolean({"dangling": frozenset({"true", "false"})}, "dangling")


def chosen(
    where: Callable[[filters.Filters], Callable[[Any], bool]],
    things: Iterable[Any],
    wanted: dict[str, list[str]],
) -> list[str]:
    passes = where({key: frozenset(values) for key, values in wanted.items()})
    return [thing.id for thing in things if passes(thing)]


SERVICES = [
    service(name="web", labels={"tier": "front"}),
    service(None, name="agent"),
    service(name="db", labels={"tier": "back", "disk": ""}),
]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, ["web", "agent", "db"]),
        ({"name": ["w", "ag"]}, ["web", "agent"]),
        ({"label": ["tier"]}, ["web", "db"]),
        ({"label": ["tier=back", "disk"]}, ["db"]),
        ({"mode": ["global"]}, ["agent"]),
        ({"id": ["we"]}, ["web"]),
        ({"runtime": ["plugin"]}, []),
        ({"runtime": ["container"], "name": ["db"]}, ["db"]),
    ],
)
def test_services_are_chosen(wanted: dict[str, list[str]], ids: list[str]) -> None:
    assert chosen(choices.services, SERVICES, wanted) == ids


NODES = [
    replace(node("m1"), certificate_role="manager"),
    node("w1", labels={"zone": "a"}),
]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, ["m1", "w1"]),
        ({"role": ["manager"]}, ["m1"]),
        ({"name": ["w"]}, ["w1"]),
        ({"id": ["m1"]}, ["m1"]),
        ({"node.label": ["zone=a"]}, ["w1"]),
        ({"label": ["zone"]}, []),
        ({"membership": ["accepted"]}, ["m1", "w1"]),
        ({"membership": ["pending"]}, []),
    ],
)
def test_nodes_are_chosen(wanted: dict[str, list[str]], ids: list[str]) -> None:
    assert chosen(choices.nodes, NODES, wanted) == ids


WEB = SERVICES[0]
TASKS = [
    task("task1", WEB, 1, on="m1"),
    task("task2", WEB, 2, on="w1", desired=TaskState.SHUTDOWN),
]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, ["task1", "task2"]),
        ({"name": ["web.1"]}, ["task1"]),
        ({"id": ["task2"]}, ["task2"]),
        ({"desired-state": ["running"]}, ["task1"]),
        ({"desired-state": ["shutdown", "ready"]}, ["task2"]),
        ({"runtime": ["container"]}, ["task1", "task2"]),
        ({"runtime": ["plugin"]}, []),
        ({"label": ["tier=front"]}, ["task1", "task2"]),
        ({"label": ["x"]}, []),
    ],
)
def test_tasks_are_chosen(wanted: dict[str, list[str]], ids: list[str]) -> None:
    assert chosen(choices.tasks, TASKS, wanted) == ids


NETWORKS = [
    NetworkResource(name="bridge", id="bridge-id"),
    NetworkResource(name="app", id="app-id", labels={"tier": "back"}),
    NetworkResource(name="ingress", id="in-id", scope="swarm", driver="overlay"),
]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, ["bridge-id", "app-id", "in-id"]),
        ({"name": ["gres"]}, ["in-id"]),
        ({"label": ["tier"]}, ["app-id"]),
        ({"driver": ["bridge"]}, ["bridge-id", "app-id"]),
        ({"scope": ["swarm"]}, ["in-id"]),
        ({"type": ["custom"]}, ["app-id", "in-id"]),
        ({"type": ["builtin"], "id": ["br"]}, ["bridge-id"]),
    ],
)
def test_networks_are_chosen(wanted: dict[str, list[str]], ids: list[str]) -> None:
    assert chosen(choices.networks, NETWORKS, wanted) == ids


def test_old_networks_are_pruned() -> None:
    made = [replace(NETWORKS[1], created=NOW - timedelta(hours=hours)) for hours in (1, 3)]
    wanted = {"until": frozenset({"2h"}), "label!": frozenset({"keep"})}
    where = choices.pruned_networks(wanted, NOW)
    assert [where(network) for network in made] == [False, True]
    assert not where(replace(made[1], labels={"keep": ""}))


@pytest.mark.parametrize(
    ("where", "key", "value"),
    [
        (choices.services, "mode", "odd"),
        (choices.nodes, "role", "boss"),
        (choices.nodes, "membership", "odd"),
        (choices.tasks, "desired-state", "odd"),
        (choices.networks, "dangling", "maybe"),
    ],
)
def test_a_filter_that_cannot_be_is_refused(
    where: Callable[[filters.Filters], object], key: str, value: str
) -> None:
    with pytest.raises(InvalidArgument, match=f"invalid filter '{key}={value}'"):
        where({key: frozenset({value})})
    with pytest.raises(InvalidArgument, match="invalid filter 'colour'"):
        where({"colour": frozenset({"red"})})


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("2026-01-30T09:30:00Z", datetime(2026, 1, 30, 9, 30, tzinfo=UTC)),
        (str(int(NOW.timestamp())), NOW),
    ],
)
def test_until_is_a_moment(text: str, moment: datetime) -> None:
    assert filters.until({"until": frozenset({text})}, NOW) == moment


@pytest.mark.parametrize("texts", [{"yesterday"}, {"1h", "2h"}])
def test_an_until_that_is_none_is_refused(texts: set[str]) -> None:
    with pytest.raises(InvalidArgument):
        filters.until({"until": frozenset(texts)}, NOW)


def test_what_is_asked_of_containers() -> None:
    asked = {"name": {"^web"}, "exited": {"3"}, "is-task": {"t"}, "label!": {"x"}, "status": set()}
    query = choices.containers({key: frozenset(values) for key, values in asked.items()})
    assert query == ContainerQuery(
        names=frozenset({"^web"}),
        exit_codes={3},
        is_task=True,
        labels=LabelQuery((), frozenset({"x"})),
    )
    for key, value in (("colour", "red"), ("status", "odd"), ("exited", "x"), ("health", "odd")):
        with pytest.raises(InvalidArgument, match="invalid filter"):
            choices.containers({key: frozenset({value})})


def test_what_is_asked_of_images() -> None:
    asked = {"dangling": frozenset({"0"}), "reference": frozenset({"web*"})}
    expected = ImageQuery(dangling=False, references=frozenset({"web*"}))
    assert choices.images(asked, NOW) == expected
    with pytest.raises(InvalidArgument, match="invalid filter 'colour'"):
        choices.images({"colour": frozenset({"red"})}, NOW)


def test_volumes_are_chosen() -> None:
    rows = [Volume(name="data", labels={"a": "b"}), Volume(name="logs")]

    def named(**wanted: str) -> list[str]:
        where = choices.volumes({key: frozenset({value}) for key, value in wanted.items()})
        return [row.name for row in rows if where(row)]

    assert named(name="at") == ["data"]
    assert named(label="a=b") == ["data"]
    assert named(driver="local") == ["data", "logs"]
    assert named(driver="nfs") == []
