"""A short regular expression kept the whole daemon busy for ever: it ran on the event loop, in an
engine that backtracks. So did a glob of many stars, a template of many opening braces, and
constraints of blanks."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest

from skep.kit.errors import InvalidArgument
from skep.manager import constraint
from skep.model.service import ContainerSpec
from skep.model.template import SOME_TASK, expanded
from skep.testing.daemon import DaemonHost

_SOON_S = 2.0


def _filtered(host: DaemonHost, path: str, key: str, value: str) -> tuple[int, list[str]]:
    began = time.monotonic()
    answer = host.api("GET", f"{path}filters={quote(json.dumps({key: [value]}))}")
    assert time.monotonic() - began < _SOON_S
    return answer.status, [row["Id"] for row in answer.body] if answer.status == 200 else []


def test_the_worst_expression_over_containers_takes_no_time(host: DaemonHost) -> None:
    name = "a" * 34
    made = host.api("POST", f"/containers/create?name={name}", {"Image": "web:1"}).body["Id"]
    host.api("POST", "/containers/create?name=other", {"Image": "web:1"})
    assert _filtered(host, "/containers/json?all=1&", "name", "(a+)+$x|(a+)+b") == (200, [])
    assert _filtered(host, "/containers/json?all=1&", "name", "^/?(a+)+$") == (200, [made])


def test_an_expression_that_is_none_is_an_exact_name(host: DaemonHost) -> None:
    host.api("POST", "/containers/create?name=web", {"Image": "web:1"})
    for text in ("(web", "web[", r"\1web", "web{1000}{1000}"):
        assert _filtered(host, "/containers/json?all=1&", "name", text) == (200, [])


def test_a_glob_of_many_stars_over_images_takes_no_time(host: DaemonHost) -> None:
    image = host.api("GET", "/images/web:1/json").body["Id"]
    long_name = "a" * 100
    assert host.api("POST", f"/images/web:1/tag?repo={long_name}&tag=1").status == 201
    try:
        assert _filtered(host, "/images/json?", "reference", "*a" * 30 + "b") == (200, [])
        assert _filtered(host, "/images/json?", "reference", "*a" * 30 + "*") == (200, [image])
    finally:
        host.api("DELETE", f"/images/{long_name}:1")


def test_a_template_is_read_once_from_its_beginning_to_its_end() -> None:
    began = time.monotonic()
    with pytest.raises(InvalidArgument, match="unclosed action"):
        expanded(ContainerSpec(hostname="{{" * 100_000), SOME_TASK)
    assert time.monotonic() - began < _SOON_S


def test_constraints_are_read_in_no_time() -> None:
    for text in (" " * 990, "a" + " " * 990, "a " * 490, "a in(" * 190, "a in (" + ") " * 490):
        began = time.monotonic()
        for number in range(256):
            with pytest.raises(InvalidArgument):
                constraint.parse([f"{text}{number}"])
        assert time.monotonic() - began < _SOON_S, text[:10]
    with pytest.raises(InvalidArgument, match="at most 256"):
        constraint.parse(["node.role==manager"] * 257)
