"""What is written down of a commit, and read again."""

from __future__ import annotations

import logging

import msgspec
import pytest
from msgspec.structs import fields, replace

from skep.kit.errors import InvalidArgument
from skep.model.base import Version
from skep.model.network import Network, NetworkSpec
from skep.model.states import TaskState
from skep.model.task import Task, TaskStatus
from skep.store import form
from skep.store.change import Create, Event, Update
from skep.store.kinds import KINDS, Stored, kind_of
from skep.store.log import Entry
from skep.testing import builders as b
from skep.testing.writing import Writer

WEB = b.service(name="web")
TASK = b.task("t1", WEB)
_STAMPS = {"version": Version(7), "updated_at": b.at(7)}
PAIRS: list[tuple[Stored, Stored]] = [
    (WEB, replace(b.service(3, name="api"), id=WEB.id, **_STAMPS)),
    (TASK, replace(b.task("t1", WEB, 9, on="n9", state=TaskState.FAILED), **_STAMPS)),
    (b.node(), replace(b.node(state="down", labels={"zone": "a"}), **_STAMPS)),
    (b.cluster(), replace(b.cluster(9), **_STAMPS)),
    (
        Network(id="net", spec=NetworkSpec(name="one")),
        replace(Network(id="net", spec=NetworkSpec(name="two")), **_STAMPS),
    ),
]


def folded(old: Stored, new: Stored) -> Stored:
    """As a log reads it that keeps the old object and the change."""
    kind = kind_of(old).name
    bodies = form.Bodies(lambda _: form.encode(kind, old))
    bodies.add(form.entry(1, [form.record(Event(kind, "update", old, new))]))
    ((_, body),) = bodies.items()
    assert body is not None
    return form.decode(kind, old.id, body)


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_what_changed_is_all_that_is_needed(old: Stored, new: Stored) -> None:
    kind = kind_of(old).name
    assert form.changed(kind, old, form.changes(kind, old, new)) == new
    assert folded(old, new) == new


def test_a_field_that_is_empty_again_is_empty_again() -> None:
    """Fields at their default are left out of an object's body."""
    marked = replace(TASK, labels={"a": "b"}, cause_of_end="enough")
    plain = replace(TASK)
    changes = form.changes("task", marked, plain)
    assert form.changed("task", marked, changes) == plain
    assert folded(marked, plain) == plain


def test_what_was_not_replaced_is_not_written() -> None:
    body = form.changes("task", TASK, replace(TASK, node_id="another"))
    assert msgspec.msgpack.decode(body) == {"NodeID": "another"}


def test_what_a_follower_keeps_of_the_old_object_it_shares() -> None:
    """Or each task would come to have a spec of its own in memory."""
    new = form.changed("task", TASK, form.changes("task", TASK, replace(TASK, node_id="n2")))
    assert isinstance(new, Task)
    assert new.spec is TASK.spec


def test_what_cannot_be_kept_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="task t1 cannot be stored"):
        form.record(Event("task", "update", TASK, replace(TASK, slot=2**70)))


def test_a_change_beyond_todays_bounds_is_read_at_the_bound_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    naive = TaskStatus(timestamp=b.T0.replace(tzinfo=None), state=TaskState.RUNNING)
    new = form.changed("task", TASK, form.changes("task", TASK, replace(TASK, status=naive)))
    assert isinstance(new, Task)
    assert new.status.timestamp == b.T0
    assert "as far as it makes sense" in caplog.text


@pytest.mark.parametrize("body", [b"", b"\xff", b"\x91\x01", "novelty", None])
def test_a_commit_that_cannot_be_read_is_named(body: object) -> None:
    with pytest.raises(ValueError, match="commit 7 cannot be read"):
        form.records(Entry(7, body))  # type: ignore[arg-type]


def test_an_object_of_a_commit_that_cannot_be_read_is_named() -> None:
    writer = Writer()
    (made,) = writer.entries([Create(TASK)])
    stored = writer.view.tasks()[0]
    (changed,) = writer.entries([Update(replace(stored, slot=3))])
    (record,) = form.records(changed)
    broken = form.entry(2, [replace(record, body=b"\xff")])
    bodies = form.Bodies(lambda _: None)
    bodies.add(made)
    with pytest.raises(ValueError, match="task t1 cannot be read"):
        bodies.add(broken)
    with pytest.raises(ValueError, match="task t1 cannot be read"):
        form.commit(broken, lambda *_: stored)


def test_every_kind_has_fields_that_can_change_one_by_one() -> None:
    for kind in KINDS.values():
        names = {each.encode_name for each in fields(kind.cls)}
        assert set(form._FIELDS[kind.name]) == names
