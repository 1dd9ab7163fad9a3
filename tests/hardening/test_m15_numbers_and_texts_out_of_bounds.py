"""Numbers of thousands of digits, times outside of the calendar, NUL characters and names that are
too long were "internal errors"; a body that came too slowly as well."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skep.api import Server
from skep.kit.clock import parse_duration_ns, parse_moment_ns
from skep.kit.numbers import INT64_MAX, INT64_MIN, parse_int
from skep.testing.daemon import DaemonHost
from skep.testing.node import StandInNode

DIGITS = "9" * 5000
NUMBERS = (
    DIGITS,
    "-" + DIGITS,
    "99999999999999999999",
    "٣",
    "1e400",
    "-0",
    "0x10",
    "1_0",
    " 1",
    "²",
)
MOMENTS = (
    *NUMBERS, "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59",
    f"{DIGITS}h", f"1.{DIGITS}", f"{DIGITS}.5", "9223372036", "-9223372037", "nan", "inf",
)  # fmt: skip


@pytest.fixture(scope="module")
def container(daemon: DaemonHost) -> Iterator[str]:
    yield daemon.ok("run", "-d", "--name", "steady", "web:1")
    daemon.ok("rm", "-f", "steady")


def _filters(**values: str) -> str:
    return quote(json.dumps({key.replace("_", "-"): [value] for key, value in values.items()}))


def _check(daemon: DaemonHost, method: str, path: str, body: Any = None) -> None:
    """Answered, and not as our own mistake."""
    answer = daemon.api(method, path, body)
    assert answer.status < 500 or answer.status == 501, (path[:100], answer.body)


@pytest.mark.parametrize("text", MOMENTS, ids=lambda text: text[:12])
def test_any_text_for_a_time_is_answered(daemon: DaemonHost, container: str, text: str) -> None:
    value = quote(text)
    for name in ("since", "until"):
        _check(daemon, "GET", f"/containers/steady/logs?stdout=1&{name}={value}")
        _check(daemon, "GET", f"/events?until=1&{name}={value}")
    for noun in ("containers", "images", "networks"):
        _check(daemon, "POST", f"/{noun}/prune?filters={_filters(until=text, label='none=such')}")
    _check(daemon, "GET", f"/images/json?filters={_filters(until=text)}")


@pytest.mark.parametrize("text", NUMBERS, ids=lambda text: text[:12])
def test_any_text_for_a_number_is_answered(daemon: DaemonHost, container: str, text: str) -> None:
    value = quote(text)
    for path in (
        f"/containers/json?limit={value}",
        f"/containers/json?filters={_filters(exited=text)}",
        f"/containers/json?filters={_filters(publish=text)}",
        f"/containers/json?filters={_filters(expose=text + '-' + text)}",
        f"/containers/steady/logs?stdout=1&tail={value}",
        f"/v{value}/info",
        f"/v1.{value}/info",
    ):
        _check(daemon, "GET", path)
    for path in (
        f"/containers/steady/kill?signal={value}",
        f"/containers/steady/kill?signal=RTMIN%2B{value}",
        f"/containers/steady/resize?h={value}&w=1",
    ):
        _check(daemon, "POST", path)
    assert daemon.api("POST", f"/containers/none/stop?t={value}").status in (400, 404)
    wish = {"Image": "web:1", "StopSignal": text}
    bad = {"Image": "web:1", "HostConfig": {"LogConfig": {"Config": {"max-size": text + "m"}}}}
    for body in (wish, bad, {"Image": "web:1", "ExposedPorts": {text: {}}}):
        _check(daemon, "POST", "/containers/create?name=odd", body)
        daemon.api("DELETE", "/containers/odd")
    rule = {"Image": "web:1", "HostConfig": {"DeviceCgroupRules": [f"c {text}:1 r"]}}
    _check(daemon, "POST", "/containers/create?name=odd", rule)
    daemon.api("DELETE", "/containers/odd")
    mtu = {"com.docker.network.driver.mtu": text}
    _check(daemon, "POST", "/networks/create", {"Name": "odd", "Options": mtu})
    _check(daemon, "POST", "/swarm/join", {"RemoteAddrs": [f"127.0.0.1:{text}"], "JoinToken": "x"})
    assert daemon.api("GET", "/containers/steady/json").body["State"]["Running"]


def test_a_nul_is_refused_wherever_it_stands(daemon: DaemonHost, container: str) -> None:
    for method, path in (
        ("GET", "/containers/steady/top?ps_args=-ef%00"),
        ("GET", "/containers/steady%00/json"),
        ("GET", "/containers/steady/archive?path=%00"),
        ("POST", "/containers/steady/rename?name=a%00b"),
        ("POST", "/images/create?fromImage=a%00b"),
        ("POST", "/images/web:1/tag?repo=a%00b"),
    ):
        assert daemon.api(method, path).status == 400, path
    for path, body in (
        ("/containers/create", {"Image": "web:1", "Env": ["A=\0"]}),
        ("/containers/create", {"Image": "web:1", "Cmd": ["a\0"]}),
        ("/containers/create", {"Image": "web:1", "Labels": {"a\0": "b"}}),
        ("/containers/steady/exec", {"Cmd": ["a\0"]}),
        ("/volumes/create", {"Name": "ab\0"}),
        ("/networks/create", {"Name": "ab\0"}),
    ):
        answer = daemon.api("POST", path, body)
        assert answer.status == 400
        assert "NUL" in answer.message
    wish = {"Image": "web:1", "Cmd": ["printf", r"\u0000"]}
    made = daemon.api("POST", "/containers/create", wish)
    assert made.status == 201, "the six letters are no NUL"
    daemon.ok("rm", made.body["Id"])


def test_a_service_s_nul_is_refused_at_once(swarm: DaemonHost) -> None:
    spec = {"Name": "odd", "TaskTemplate": {"ContainerSpec": {"Image": "web:1", "Env": ["A=\0"]}}}
    assert swarm.api("POST", "/services/create", spec).status == 400
    spec["TaskTemplate"] = {"ContainerSpec": {"Image": "web:1", "StopSignal": DIGITS}}
    assert swarm.api("POST", "/services/create", spec).status == 400


def test_names_and_bytes_that_cannot_be(daemon: DaemonHost, container: str) -> None:
    for name in ("v" * 300, "v" * 70_000, "../x", "a/b", "\x1b[31m", "v\nw"):
        assert daemon.api("POST", "/volumes/create", {"Name": name}).status == 400
    for body in (b'{"Image": "\xff"}', b"\xff", b"[" * 100_000, b'{"Image": "\\ud800"}'):
        assert daemon.api("POST", "/containers/create", body).status == 400
    for path in ("%ff", "%ED%A0%80", "..", "%2e%2e", "a%0d%0ab", "%1b"):
        _check(daemon, "GET", f"/containers/{path}/json")
        _check(daemon, "GET", f"/containers/steady/archive?path={path}")
        _check(daemon, "POST", f"/containers/steady/rename?name={path}")
        _check(daemon, "GET", f"/containers/json?filters={path}")
    for text in ('{"name":["\\ud800"]}', '{"\\ud800":["x"]}', '{"name":{"x":null}}', "[", '"x"'):
        assert daemon.api("GET", f"/containers/json?filters={quote(text)}").status == 400


async def test_a_body_that_comes_too_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skep.http.request._BODY_TIMEOUT_S", 0.1)
    server = Server(StandInNode(), [f"unix://{tmp_path / 'sock'}"])
    await server.start()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "sock"))
    writer.write(
        b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
        b'Content-Length: 100\r\n\r\n{"Image":'
    )
    async with asyncio.timeout(10):
        assert await reader.readline() == b"HTTP/1.1 408 Request Timeout\r\n"
    writer.close()
    await server.stop()


@settings(deadline=None)
@given(st.text("0123456789+-٣² x", max_size=25) | st.integers().map(str))
def test_a_number_is_read_as_python_reads_it_or_refused(text: str) -> None:
    try:
        number = parse_int(text)
    except ValueError:
        assert not text.isascii() or not text.removeprefix("-").isdigit() or (
            not INT64_MIN <= int(text) <= INT64_MAX or len(text.lstrip("-")) > 20
        )  # fmt: skip
    else:
        assert number == int(text)


@settings(deadline=None)
@given(st.text("0123456789.-+:TZhms", max_size=40))
def test_a_moment_fits_into_64_bits_or_is_refused(text: str) -> None:
    try:
        assert INT64_MIN <= parse_moment_ns(text, 1_700_000_000_000_000_000) <= INT64_MAX
        assert abs(parse_duration_ns(text)) <= INT64_MAX
    except ValueError:
        pass
